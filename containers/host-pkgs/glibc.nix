# The C library and its loader as a store path of their own: what everything else here is linked with and
# started by, so that it runs where there is no /lib. One for the whole package set, from the same /usr as
# the libraries: no older one would do for those, and a newer one does for the host's own programs.
#
# Debian's loader looks for nothing beside itself: whatever loads a part of this says so in its run path.
# The modules that convert character sets are left out.
{
  debianPackages,
  runCommand,
  usr,
}:

runCommand "glibc" { inherit debianPackages usr; } ''
  source ${./library.sh}
  mkdir -p $out/lib
  folder=$usr/lib/x86_64-linux-gnu
  for name in ld-linux-x86-64.so.2 libc.so.6; do
    if [ ! -e $folder/$name ]; then
      echo "host-pkgs: there is no $folder/$name, the C library of a Debian (libc6)" >&2
      exit 1
    fi
  done
  for name in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libmvec.so.1 libdl.so.2 libpthread.so.0 librt.so.1 \
    libutil.so.1 libresolv.so.2 libanl.so.1 libnsl.so.1; do
    if [ -e $folder/$name ]; then
      cp -L $folder/$name $out/lib/
      chmod u+w $out/lib/$name
    fi
  done
  chmod +x $out/lib/ld-linux-x86-64.so.2
  recordPackages
''
