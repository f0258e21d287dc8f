# What copies shared libraries out of a /usr, so that they stand on their own.
# The C library is a package of its own, glibc.nix.

# needs FILE: the sonames that a program or library loads.
needs() {
  patchelf --print-needed "$1"
}

# Notes in the output which packages, by name and version, its programs and libraries are of: for who lists what
# an image has.
recordPackages() {
  local name version content files file
  local -A here=()
  while IFS= read -r file; do
    here[$file]=1
  done < <(find "$out" '(' -type f -o -type l ')' '(' -path '*/bin/*' -o -name '*.so*' ')' -printf '%f\n')
  while read -r name version content files; do
    for file in $files; do
      if [ -n "${here[${file##*/}]:-}" ]; then
        mkdir -p "$out/nix-support"
        echo "$name $version" >>"$out/nix-support/debian-packages"
        break
      fi
    done
  done < <(printf '%s' "$debianPackages" | LC_ALL=C sort)
}

# closeOver LIB USR GLIBC OTHER...: copies what the ELF files below $out load from USR to LIB, and what that
# loads in turn, but not what the packages OTHER have. All of it looks there, in those and in the C library
# GLIBC, whose loader starts the programs.
closeOver() {
  local lib=$1 usr=$2 glibc=$3 file name from other again=1
  shift 3
  local folders=("$lib" "${@/%//lib}")
  mkdir -p "$lib"
  while [ -n "$again" ]; do
    again=
    while IFS= read -r -d '' file; do
      isELF "$file" || continue
      for name in $(needs "$file"); do
        for other in "${folders[@]}" "$glibc/lib"; do
          [ ! -e "$other/$name" ] || continue 2
        done
        for from in "$usr/lib/x86_64-linux-gnu/$name" "$usr/lib/$name" "$usr/lib64/$name" missing; do
          [ ! -e "$from" ] || break
        done
        if [ "$from" = missing ]; then
          echo "host-pkgs: $file loads $name, which is not in $usr" >&2
          exit 1
        fi
        cp -L "$from" "$lib/$name"
        chmod u+w "$lib/$name"
        again=1
      done
    done < <(find "$out" -type f '(' -perm -0100 -o -name '*.so*' ')' -print0)
  done
  while IFS= read -r -d '' file; do
    isELF "$file" || continue
    patchelf --set-rpath "$(IFS=:; echo "${folders[*]}:$glibc/lib")" "$file"
    if patchelf --print-interpreter "$file" >/dev/null 2>&1; then
      patchelf --set-interpreter "$glibc/lib/ld-linux-x86-64.so.2" "$file"
    fi
  done < <(find "$out" -type f '(' -perm -0100 -o -name '*.so*' ')' -print0)
}
