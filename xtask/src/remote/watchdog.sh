# What both processes of the far side need: the one that does what it is told (agent.sh) and the one that
# watches it. Of the run they know `folder`, and of the first process `owner` (its number) and `born` (when
# it began).

# Whether the process PID runs; sets `began` to when it did, in ticks since the machine's start.
began() {
  { read -r began <"/proc/$1/stat"; } 2>/dev/null || return 1
  # behind the program's name, which may hold anything
  began=${began##*) }
  case $began in
  Z* | X*) return 1 ;;
  esac
  began=$(set -f && set -- $began && echo "${20}")
}

# Kills the processes of the run with the folder NAME. They carry it in their environment, and builders in
# their mounts, whoever became their parent.
kill_all_of() {
  case $1 in
  xtask-on.??????*) ;;
  *) return 1 ;;
  esac
  tries=0
  while [ $tries -lt 100 ]; do
    found=
    for file in $(grep -lsF -e "$1" /proc/[0-9]*/environ /proc/[0-9]*/mountinfo 2>/dev/null); do
      file=${file#/proc/}
      began "${file%/*}" && found="$found ${file%/*}"
    done
    [ -n "$found" ] || return 0
    kill -KILL $found 2>/dev/null
    tries=$((tries + 1))
    sleep 0.05
  done
}

# Removes a folder in which builders may have made folders that can't be written to.
remove() {
  rm -rf "$1" 2>/dev/null && return 0
  chmod -R u+w "$1" 2>/dev/null
  rm -rf "$1" 2>/dev/null
}

# Sets `job` to the process that leads the session in which a command runs, if one does.
find_job() {
  job=
  [ ! -s "$folder/job" ] || read -r job <"$folder/job"
  [ -n "$job" ]
}

# Ends what runs and removes the folder.
tidy() {
  if find_job; then
    end_session TERM "$job"
    tries=0
    while [ -s "$folder/job" ] && began "$job" && [ $tries -lt 100 ]; do
      sleep 0.1
      tries=$((tries + 1))
    done
  fi
  kill_all_of "${folder##*/}"
  remove "$folder"
}

# A session that has just been started may not be one yet.
end_session() {
  kill -"$1" -"$2" 2>/dev/null || kill -"$1" "$2" 2>/dev/null
}

# Ends the run when the near side is silent for too long, or when this script was killed. Too long are ten
# seconds, and ten minutes until the near side was heard for the first time, which may have much to pack, or
# while this script does not hear it (`busy`).
watch() {
  nap=
  trap 'kill $nap; exit' TERM
  trap - INT HUP PIPE
  silence=0 stopping=0 limit=600
  while :; do
    sleep 1 &
    nap=$!
    wait $nap
    began "$owner" && [ "$began" = "$born" ] || break
    # before the look at `beat`, which is written before `busy` goes
    [ ! -e "$folder/busy" ] || limit=600
    if [ -e "$folder/beat" ]; then
      rm -f "$folder/beat"
      silence=0 limit=10
    else
      silence=$((silence + 1))
      [ $silence -lt $limit ] || break
    fi
    if [ -e "$folder/stopped" ] && [ -s "$folder/job" ]; then
      stopping=$((stopping + 1))
      [ $stopping -lt 12 ] || kill_all_of "${folder##*/}"
    else
      stopping=0
    fi
  done
  tidy
  began "$owner" && [ "$began" = "$born" ] && kill -KILL "$owner"
}
