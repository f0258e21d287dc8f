# Programs of the host as a package that stands on its own: copies of them, with the shared libraries that
# they load. A script gets the package set's shell.
{
  # null where this is the shell
  bash,
  # what they are of
  debianPackages,
  glibc,
  name,
  patchelf,
  programs,
  runCommand,
}:

runCommand name
  {
    inherit bash debianPackages programs;
    nativeBuildInputs = [ patchelf ];
    # whatever stands in a script, it is not for the builder's own shell
    dontPatchShebangs = true;
  }
  ''
    source ${./library.sh}
    mkdir -p $out/bin
    for program in $programs; do
      if [ ! -x /host/usr/bin/$program ]; then
        echo "host-pkgs: this machine has no /usr/bin/$program; cargo xtask setup --install brings it" >&2
        exit 1
      fi
      if [ -z "$bash" ] && [ $program = sh ]; then
        # the host's may be another shell
        ln -s bash $out/bin/sh
        continue
      fi
      cp -L /host/usr/bin/$program $out/bin/$program
      chmod u+w $out/bin/$program
      if ! isELF $out/bin/$program; then
        sed -i -E "1s,^#! */bin/(sh|bash),#!$bash/bin/\1," $out/bin/$program
      fi
    done
    closeOver $out/lib /host/usr ${glibc}
    rmdir --ignore-fail-on-non-empty $out/lib
    recordPackages
  ''
