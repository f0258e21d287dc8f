# The C compiler of `stdenv`: the host's gcc, with the headers and libraries of `buildInputs` and run paths
# into them, as nixpkgs' compiler wrapper has it. Headers of the C library are a store path; others of the
# host are not seen.
{
  lib,
  bash,
  coreutils,
  gcc,
  glibc,
  # further options where something is linked
  linkOptions ? [ ],
  runCommand,
}:

let
  libcHeaders = runCommand "host-libc-headers" { headers = (lib.importJSON ./libc-headers.json).headers; } ''
    mkdir -p $out/include
    for header in $headers; do
      if [ -e /host/usr/include/$header ]; then
        cp -rL /host/usr/include/$header $out/include/
      fi
    done
    if [ ! -e $out/include/stdio.h ]; then
      echo "host-pkgs: this machine has no /usr/include/stdio.h; cargo xtask setup --install brings it (libc6-dev)" >&2
      exit 1
    fi
  '';
in
runCommand "host-cc" { inherit gcc glibc libcHeaders linkOptions; } ''
  mkdir -p $out/bin
  cat >$out/bin/gcc <<EOF
  #!${bash}/bin/bash
  compile=() link=(-Wl,--dynamic-linker,$glibc/lib/ld-linux-x86-64.so.2 -Wl,-rpath,$glibc/lib)
  for input in \$buildInputs \$propagatedBuildInputs; do
    [ ! -d \$input/include ] || compile+=(-isystem \$input/include)
    [ ! -d \$input/lib ] || link+=(-L\$input/lib -Wl,-rpath,\$input/lib)
  done
  for argument in "\$@"; do
    case \$argument in -c | -E | -S | -M | -MM | -fsyntax-only) link=() ;; esac
  done
  export PATH=\$PATH:$gcc/bin
  exec $gcc/bin/gcc "\$@" "\''${compile[@]}" -idirafter $libcHeaders/include -idirafter $libcHeaders/include/x86_64-linux-gnu "\''${link[@]}" $linkOptions
  EOF
  chmod +x $out/bin/gcc
  ln -s gcc $out/bin/cc
  ln -s gcc $out/bin/x86_64-linux-gnu-gcc
  for tool in ar as ld; do
    ln -s $gcc/bin/$tool $out/bin/$tool
  done
''
