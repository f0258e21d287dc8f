# autoPatchelfHook: after the other fixups, each ELF file of the output gets run paths to where the
# libraries are that it loads: in the output itself, in the `buildInputs`, in appendRunpaths, in the C
# library; a program is started by the loader of that. A library that is nowhere fails the build with its
# name, unless autoPatchelfIgnoreMissingDeps names it.

autoPatchelf() {
  local -A places=()
  local file name folder missing=0 input libc
  local -a elves=() runpaths
  while IFS= read -r -d '' file; do
    places[${file##*/}]=${file%/*}
    if [ -f "$file" ] && [ ! -L "$file" ] && isELF "$file"; then
      elves+=("$file")
    fi
  done < <(find "$out" '(' -type f -o -type l ')' '(' -name '*.so*' -o -perm -0100 ')' -print0)
  # what the inputs have goes before what happens to be called so in the output
  for input in ${buildInputs:-} ${propagatedBuildInputs:-}; do
    for file in "$input"/lib/*.so*; do
      places[${file##*/}]=$input/lib
    done
  done
  for file in "${elves[@]}"; do
    runpaths=() libc=
    for name in $(@patchelf@/bin/patchelf --print-needed "$file"); do
      if [ -e "@glibc@/lib/$name" ]; then
        libc=@glibc@/lib
        continue
      fi
      folder=${places[$name]:-}
      if [ -z "$folder" ]; then
        if [[ " ${autoPatchelfIgnoreMissingDeps:-} " != *" $name "* ]]; then
          echo "auto-patchelf: $file loads $name, which none of the buildInputs has" >&2
          missing=1
        fi
      elif [[ " ${runpaths[*]} " != *" $folder "* ]]; then
        runpaths+=("$folder")
      fi
    done
    runpaths+=(${appendRunpaths:-} $libc)
    local joined
    joined=$(IFS=:; echo "${runpaths[*]}")
    if [ -n "$joined" ]; then
      @patchelf@/bin/patchelf --set-rpath "$joined" "$file"
    else
      @patchelf@/bin/patchelf --remove-rpath "$file"
    fi
    if [ -n "$libc" ] && @patchelf@/bin/patchelf --print-interpreter "$file" >/dev/null 2>&1; then
      @patchelf@/bin/patchelf --set-interpreter @glibc@/lib/ld-linux-x86-64.so.2 "$file"
    fi
  done
  [ "$missing" = 0 ] || exit 1
}

if [ -z "${dontAutoPatchelf:-}" ]; then
  postFixupHooks+=(autoPatchelf)
fi
