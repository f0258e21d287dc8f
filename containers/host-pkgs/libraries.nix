# Libraries of the distribution, each as a store path of its own: headers, shared libraries with all that
# they load, pkg-config files and the scripts that say how to compile. They are of the
# same /usr as the Python that loads them, for one process can't load two of a kind.
{
  lib,
  debian,
  glibc,
  patchelf,
  runCommand,
  usr,
}:

let
  packagesOf = debian.packages;

  library =
    name:
    {
      # the package whose headers these are
      debian,
      headers,
      libraries,
      # those of the others that are loaded from where these are
      needs ? [ ],
      # what not every version of it has, or not at this place
      optionalHeaders ? [ ],
      pkgconfig ? [ ],
      scripts ? [ ],
    }:
    runCommand name
      {
        inherit
          debian
          headers
          libraries
          optionalHeaders
          pkgconfig
          scripts
          usr
          ;
        debianPackages = packagesOf [ debian ];
        needs = map (other: packages.${other}) needs;
        nativeBuildInputs = [ patchelf ];
      }
      ''
        source ${./library.sh}
        multiarch=x86_64-linux-gnu
        mkdir -p $out/include $out/lib/pkgconfig $out/bin
        want() {
          if [ ! -e "$1" ]; then
            echo "host-pkgs: this machine has no ''${1#/host}; cargo xtask setup --install brings it ($debian)" >&2
            exit 1
          fi
        }
        for header in $headers; do
          want $usr/include/$header
          cp -rL $usr/include/$header $out/include/
          chmod -R u+w $out/include
        done
        for library in $libraries; do
          want $usr/lib/$multiarch/$library.so
          cp -d $usr/lib/$multiarch/$library.so* $out/lib/
        done
        for header in $optionalHeaders; do
          if [ -e $usr/include/$header ]; then
            cp -rL $usr/include/$header $out/include/
            chmod -R u+w $out/include
          fi
        done
        # links across folders, as those of libraries that moved
        for link in $(find $out/lib -type l); do
          if [ ! -e $link ]; then
            file=$(readlink -f $usr/lib/$multiarch/$(basename $link))
            rm $link
            cp ''${file/#\/usr\//$usr/} $link
          fi
        done
        chmod -R u+w $out/lib
        closeOver $out/lib $usr ${glibc} $needs
        for file in $pkgconfig; do
          want $usr/lib/$multiarch/pkgconfig/$file.pc
          sed -e "s|/$multiarch||g" -e "s|/usr\b|$out|g" $usr/lib/$multiarch/pkgconfig/$file.pc >$out/lib/pkgconfig/$file.pc
        done
        for script in $scripts; do
          want $usr/bin/$script
          sed -e "s|/$multiarch||g" -e "s|/usr\b|$out|g" $usr/bin/$script >$out/bin/$script
          chmod +x $out/bin/$script
        done
        patchShebangs --build $out/bin
        rmdir --ignore-fail-on-non-empty $out/bin $out/lib/pkgconfig
        recordPackages
      '';

  packages = builtins.mapAttrs library (lib.importJSON ./libraries.json);
in
packages
