#!/bin/sh
# sshd: what it runs as, and what its settings are for a user.

# sshd's settings for LOGIN from an origin. A Match of any kind wants all that is given here.
effective() { # ADDRESS,HOST [SSHD'S OPTION ...]
  from="addr=${1%,*},host=${1#*,}"
  shift
  while IFS= read -r option; do
    [ -z "$option" ] || set -- "$@" -o "$option"
  done <<OPTIONS
$(command_line_options)
OPTIONS
  sshd -T -C "user=$LOGIN,$from,laddr=${HERE:-127.0.0.1},lport=${SSH_PORT:-22},rdomain=" "$@"
}

# The unit that sshd runs in.
sshd_unit() {
  for service in ssh.service sshd.service; do
    if systemctl is-active -q $service; then
      echo $service
      return
    fi
  done
  process=$(ss -Hltnp | sed -n 's/.*"sshd",pid=\([0-9]*\).*/\1/p' | head -n 1)
  [ -z "$process" ] || unit_of $process
}

# The settings that the running sshd was given on its command line, which count before those of its files.
command_line_options() {
  running_sshd | sed 's/ -o */\
-o/g' | sed -n 's/ -.*//; s/ \[listener\].*//; s/^-o//p'
}

# The command line of the sshd that listens, as it shows it.
running_sshd() { tr '\0' ' ' 2>/dev/null </proc/$(shows "$(sshd_unit)" MainPID)/cmdline || :; }

# Reads addresses; prints with each the host that a Match sees: its name where sshd looks names up, else the address.
origins() {
  looks_up=$(sshd -T 2>/dev/null | grep -x 'usedns yes' || :)
  awk '!seen[$0]++' | while read -r address; do
    host=
    if [ -n "$looks_up" ]; then
      host=$(getent hosts $address | awk '{ print $2; exit }')
    fi
    echo $address,${host:-$address}
  done
}

# Reads sshd's settings for LOGIN; prints the lists in them that do not let LOGIN in. What a pattern says of addresses
# beyond a plain match is passed over where it lets in, and taken for nothing where it keeps out.
keeps_out() { # ADDRESS
  groups=$(id -Gn $LOGIN 2>/dev/null || :)
  : "${groups:=$LOGIN}"
  while read -r keyword pattern; do
    case $keyword in
    allowusers | denyusers) names=$LOGIN ;;
    allowgroups | denygroups) names=$groups ;;
    *) continue ;;
    esac
    case $keyword,$pattern in
    denyusers,*@*) is_like $1 "${pattern#*@}" || continue ;;
    esac
    matches=no
    for name in $names; do
      ! is_like $name "${pattern%@*}" || matches=yes
    done
    echo $keyword $matches
  done | awk '
    { listed[$1] }
    $2 == "yes" { matched[$1] }
    END { for (list in listed) if ((list ~ /^deny/) == (list in matched)) print list }'
}

is_like() { # TEXT PATTERN
  # shellcheck disable=SC2254
  case $1 in $2) ;; *) false ;; esac
}

# Says how to let LOGIN in.
let_in() { # LIST
  file=$(grep -il "^[[:space:]]*$1[[:space:]=]" /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf 2>/dev/null | head -n 1)
  case $1 in
  allowusers) echo "by AllowUsers; add the line 'AllowUsers $LOGIN' to ${file:-its file}" ;;
  allowgroups) echo "by AllowGroups; add the line 'AllowGroups $(id -gn $LOGIN 2>/dev/null || echo $LOGIN)' to ${file:-its file}" ;;
  denyusers) echo "by DenyUsers; take what means it out of DenyUsers in ${file:-its file}" ;;
  denygroups) echo "by DenyGroups; take its groups out of DenyGroups in ${file:-its file}" ;;
  esac
}

# Reads sshd's settings; is a key of this type let in? An RSA key signs by other names than its own. What an sshd does not
# tell is taken for let in.
takes_type() { # TYPE
  case $1 in
  ssh-rsa) signs='rsa-sha2-512 rsa-sha2-256' ;;
  *) signs=$1 ;;
  esac
  while read -r keyword list; do
    case $keyword in pubkeyaccepted*) ;; *) continue ;; esac
    for name in $signs; do
      case ,$list, in *",$name,"*) return ;; esac
    done
    return 1
  done
}

no_such_keys() { # TYPE
  echo "sshd takes no $1 keys; add $1 to PubkeyAcceptedAlgorithms there, or set tunnelPrivateKey to a key of a type that it takes"
}

sshd_is_valid() { complaint=$(sshd -t 2>&1) || fail "sshd's configuration is invalid, mend it: $complaint"; }
