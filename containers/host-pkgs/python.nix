# A Python of a Debian as a store path: the interpreter, its standard library and headers, and the shared
# libraries that they load. `usr` is the machine's own, or that of another Debian.
{
  debianPackages,
  glibc,
  patchelf,
  runCommand,
  usr,
  version,
}:

runCommand "python3-${if version == null then "host" else version}"
  {
    inherit debianPackages usr version;
    nativeBuildInputs = [ patchelf ];
    meta.mainProgram = "python3";
  }
  ''
    source ${./library.sh}
    if [ -z "$version" ]; then
      version=$(readlink -f $usr/bin/python3)
      version=''${version##*/python}
    fi
    for file in bin/python$version lib/python$version/os.py include/python$version/Python.h; do
      if [ ! -e $usr/$file ]; then
        echo "host-pkgs: there is no $usr/$file: libpython$version-dev brings it" >&2
        exit 1
      fi
    done
    mkdir -p $out/bin $out/lib $out/include
    cp -L $usr/bin/python$version $out/bin/python$version
    ln -s python$version $out/bin/python3
    ln -s python$version $out/bin/python
    cp -rL $usr/include/python$version $out/include/
    chmod -R u+w $out
    # what Debian puts apart for each machine
    if [ -e $usr/include/x86_64-linux-gnu/python$version/pyconfig.h ]; then
      cp -L $usr/include/x86_64-linux-gnu/python$version/pyconfig.h $out/include/python$version/
    fi
    cp -r $usr/lib/python$version $out/lib/
    chmod -R u+w $out/lib
    find $out/lib -name __pycache__ -prune -exec rm -r '{}' +
    # files of the distribution's own, outside of the tree
    find $out/lib -xtype l -delete
    rm -rf $out/lib/python$version/{test,idlelib,config-*/*.a,EXTERNALLY-MANAGED}
    sed -i "s|/usr/local\b|/nowhere|g; s|'/usr\b|'$out|g; s|/usr/\(include\|lib\|bin\)|$out/\1|g" \
      $out/lib/python$version/_sysconfigdata_*.py
    closeOver $out/lib $usr ${glibc}
    recordPackages
    # as nixpkgs' has it: byte code that stays valid whatever the time of the sources; what does not compile
    # (Python 2 among the tests of lib2to3) is named and has none
    PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \
      $out/bin/python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash $out/lib/python$version ||
      echo "not all files of $out/lib/python$version have byte code"
    $out/bin/python3 -c 'import ctypes, hashlib, sqlite3, ssl, zlib; print("runs")'
  ''
