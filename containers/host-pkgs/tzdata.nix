# The time zones, from the PyPI package that carries them.
{
  fetchWheel,
  runCommand,
  unzip,
}:

let
  wheel = fetchWheel "tzdata";
in
runCommand "tzdata-${wheel.version}"
  {
    inherit wheel;
    nativeBuildInputs = [ unzip ];
    passthru = { inherit (wheel) version; };
  }
  ''
    mkdir -p $out/share
    unzip -q $wheel 'tzdata/zoneinfo/*'
    mv tzdata/zoneinfo $out/share/
    find $out -name __init__.py -delete
  ''
