#!@shell@
# What the image starts: links the built-in blueprints beside those that are mounted, and becomes `ak`.
# A file that is there already is left as it is: it takes the place of the built-in one.
set -euo pipefail
shopt -s globstar nullglob

built_in=@blueprints@
folder=${AUTHENTIK_BLUEPRINTS_DIR:-$built_in}

# link_all: fails at the first folder or link that can't be made
link_all() {
  local file link
  for link in "$folder"/**/*; do
    # of another version, from a volume that outlived it
    if [[ -L $link && $(readlink "$link") == /nix/store/*/blueprints/* && $(readlink "$link") != "$built_in"/* ]]; then
      rm "$link" || return
    fi
  done
  for file in "$built_in"/**/*; do
    link=$folder${file#"$built_in"}
    if [ -d "$file" ]; then
      mkdir -p "$link" || return
    elif [ ! -e "$link" ]; then
      ln -s "$file" "$link" || return
    fi
  done
}

if [ "$folder" != "$built_in" ] && ! { mkdir -p "$folder" && link_all; }; then
  mine=("$folder"/**/*.yaml)
  if [ ${#mine[@]} = 0 ]; then
    echo "entrypoint: the built-in blueprints are read from $built_in" >&2
    export AUTHENTIK_BLUEPRINTS_DIR=$built_in
  else
    echo "entrypoint: built-in blueprints are missing among those in $folder, which can't be written" >&2
  fi
fi

exec @ak@ "$@"
