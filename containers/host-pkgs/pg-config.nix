# pg_config, as far as clients of PostgreSQL ask it: where libpq is.
{
  bash,
  libpq,
  runCommand,
}:

runCommand "pg_config" { meta.mainProgram = "pg_config"; } ''
  mkdir -p $out/bin
  version=$(sed -n 's/^#define PG_VERSION "\(.*\)"$/\1/p' ${libpq}/include/postgresql/pg_config.h)
  cat >$out/bin/pg_config <<EOF
  #!${bash}/bin/bash
  for question in "\$@"; do
    case \$question in
      --includedir) echo ${libpq}/include/postgresql ;;
      --libdir | --pkglibdir) echo ${libpq}/lib ;;
      --bindir) echo $out/bin ;;
      --version) echo "PostgreSQL $version" ;;
      --cppflags | --cflags | --ldflags | --libs) echo ;;
      *) echo "host-pkgs' pg_config does not know \$question" >&2; exit 1 ;;
    esac
  done
  EOF
  chmod +x $out/bin/pg_config
''
