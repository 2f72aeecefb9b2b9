#!/bin/sh
# What sshd reads, with our drop-in at its place among the files that it includes, were it there or
# not. So sshd can be asked what it would do before anything has changed.
# It goes with disobeyed-lines.awk and overruling-block.awk.

# Prints sshd's main configuration with an Include for each file that comes in with our drop-in.
# The drop-in itself comes as /dev/fd/2, by which settings_foreseen hands its text over.
config_with_ours() { # DROPIN-FILE
  dropin_file=$1
  # A word of a line may be a pattern.
  set -f
  while IFS= read -r line || [ -n "$line" ]; do
    # shellcheck disable=SC2086 # the words of a line
    set -- $line
    case ${1-} in
    [Ii][Nn][Cc][Ll][Uu][Dd][Ee])
      shift
      for word in "$@"; do
        included_by "$word" "$dropin_file"
      done
      ;;
    *) printf '%s\n' "$line" ;;
    esac
  done </etc/ssh/sshd_config
  set +f
}

# Prints what a word of an Include means.
included_by() { # WORD DROPIN-FILE
  pattern=${1#\"}
  pattern=${pattern%\"}
  case $pattern in
  /*) ;;
  *) pattern=/etc/ssh/$pattern ;;
  esac
  if [ "${pattern%/*}" = "${2%/*}" ] && is_like "$2" "$pattern"; then
    {
      set +f
      # shellcheck disable=SC2086,SC2012 # the pattern is one, of files that sshd takes as they are
      ls -d $pattern 2>/dev/null || :
      echo "$2"
    } | sort -u | sed "s#^#Include #; s#^Include $2\$#Include /dev/fd/2#"
  else
    echo "Include $pattern"
  fi
}

# Whether sshd reads our drop-in by what config_with_ours has printed.
reads_ours() { # CONFIG
  case $1 in
  *'Include /dev/fd/2'*) ;;
  *) false ;;
  esac
}

# Whether a file that is included includes our drop-in's folder in its turn.
is_included_further() { # CONFIG DROPIN-FILE
  # shellcheck disable=SC2046 # a list of patterns
  grep -sqi "^[[:space:]]*include.*${2%/*}" /dev/null \
    $(printf '%s\n' "$1" | sed -n 's/^Include //p')
}

# Prints sshd's settings for LOGIN as they would be with our drop-in; false where sshd refuses it.
settings_foreseen() { # ORIGIN CONFIG DROPIN
  settings_for "$1" -f /dev/stdin 2<<DROPIN <<CONFIG
$3
DROPIN
$2
CONFIG
}

# Reads sshd's settings; prints the lines of a drop-in that it would not use.
disobeyed_lines() { # DROPIN
  DROPIN=$1 awk "$DISOBEYED_LINES_AWK"
}

# Prints the first Match block with a setting that sshd reads before our drop-in: that one counts.
overruled_by() { # KEYWORD DROPIN-FILE
  config_with_ours "$2" | sed '\#^Include /dev/fd/2$#q' | while IFS= read -r line; do
    case $line in
    'Include /'*)
      file=${line#Include }
      sed "s#^#$file #" "$file" 2>/dev/null || :
      ;;
    *) printf '%s %s\n' /etc/ssh/sshd_config "$line" ;;
    esac
  done | awk -v keyword="$1" "$OVERRULING_BLOCK_AWK"
}
