# The distribution's PostgreSQL as a store path: the newest server that is installed, its client programs, and
# the libraries that they load. PostgreSQL finds its own files by where its programs are.
#
# Debian's reads time zones from /usr/share/zoneinfo, which neither a sandbox nor every machine has, and
# whose place is compiled in. Here they are read from a link in the data folder, in which the server works;
# `postgres` is a script that makes this link.
{
  bash,
  coreutils,
  debianPackages,
  glibc,
  patchelf,
  pg_config,
  runCommand,
  tzdata,
}:

runCommand "postgresql"
  {
    inherit bash coreutils debianPackages tzdata;
    nativeBuildInputs = [ patchelf ];
    passthru = { inherit pg_config; };
    meta.mainProgram = "postgres";
    server = ./postgres.sh;
  }
  ''
    source ${./library.sh}
    newest=
    for folder in /host/usr/lib/postgresql/*; do
      if [ -x $folder/bin/postgres ] && [ -x $folder/bin/initdb ] && [ ''${folder##*/} -gt "''${newest:-0}" ]; then
        newest=''${folder##*/}
      fi
    done
    if [ -z "$newest" ]; then
      echo "host-pkgs: this machine has no /usr/lib/postgresql/*/bin/postgres; cargo xtask setup --install brings it (postgresql)" >&2
      exit 1
    fi
    mkdir -p $out/bin $out/lib/postgresql $out/share/postgresql
    cp -rL /host/usr/lib/postgresql/$newest $out/lib/postgresql/
    cp -r /host/usr/share/postgresql/$newest $out/share/postgresql/
    chmod -R u+w $out
    programs=$out/lib/postgresql/$newest/bin
    # compiled queries would bring all of LLVM; extensions are compiled elsewhere
    rm -rf $out/lib/postgresql/$newest/lib/{bitcode,pgxs,llvmjit*} $out/share/postgresql/$newest/man
    # dictionaries outside of the package
    find $out/share -xtype l -delete
    for program in $programs/*; do
      case ''${program##*/} in
        initdb | pg_dump | postgres | psql) ;;
        *) rm $program ;;
      esac
    done
    # a path of the same length, below the folder in which the server works
    for program in postgres initdb; do
      if ! grep -qaF /usr/share/zoneinfo $programs/$program; then
        echo "host-pkgs: $program of PostgreSQL $newest has its time zones at another place than Debian's" >&2
        exit 1
      fi
      sed -i 's|/usr/share/zoneinfo|.//././././zoneinfo|g' $programs/$program
    done
    closeOver $out/lib /host/usr ${glibc}
    recordPackages
    ln -s $programs/{initdb,pg_dump,psql} $out/bin/
    substitute $server $out/bin/postgres \
      --subst-var-by shell $bash/bin/bash \
      --subst-var-by coreutils $coreutils/bin \
      --subst-var-by zones $tzdata/share/zoneinfo \
      --subst-var-by postgres $programs/postgres
    chmod +x $out/bin/postgres

    # it makes a cluster, and knows the time zones
    $out/bin/initdb --no-sync --auth=trust --username=postgres --locale=C --encoding=UTF8 -D $TMPDIR/cluster >/dev/null
    echo "SET timezone = 'Europe/Berlin'; SELECT '2026-01-01 00:00Z'::timestamptz AS time" |
      $out/bin/postgres --single -D $TMPDIR/cluster postgres | grep -F '2026-01-01 01:00:00+01'
  ''
