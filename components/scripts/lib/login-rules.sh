#!/bin/sh
# What keeps a user out beside the settings of sshd: TCP wrappers and PAM.

refuse_shut_out() {
  reason=$(shut_out | head -n 1)
  [ -z "$reason" ] || fail "$reason"
}

# Says what keeps LOGIN out beside the settings of sshd itself: TCP wrappers, and what PAM asks of an account.
shut_out() {
  rule=$(wrapper_rules | first_match sshd)
  if [ -n "$rule" ]; then
    let_in=${FROM:-ADDRESS, the one that the server comes from}
    echo "TCP wrappers keep the server out by '${rule#-:}' of /etc/hosts.deny; add to /etc/hosts.allow: sshd: $let_in" \
      "(where that is not what it comes from, give egress too)"
  fi
  sshd -T 2>/dev/null | grep -qx 'usepam yes' || return 0
  if account_asks pam_nologin >/dev/null; then
    [ ! -e /etc/nologin ] || echo "/etc/nologin lets nobody in but root; take it away"
    # systemd's own.
    [ ! -e /run/nologin ] ||
      echo "/run/nologin lets nobody in but root while the machine boots or is to shut down; run again when it has, or take it away"
  fi
  asked=$(account_asks pam_access) || return 0
  case $asked in *fieldsep=* | *listsep=*) return 0 ;; esac
  file=$(printf '%s\n' "$asked" | sed -n 's/.*[[:space:]]accessfile=\([^[:space:]]*\).*/\1/p' | head -n 1)
  rule=$(cat ${file:-/etc/security/access.conf /etc/security/access.d/*.conf} 2>/dev/null | first_match $LOGIN)
  if [ -n "$rule" ]; then
    file=${file:-/etc/security/access.conf}
    echo "PAM keeps user $LOGIN out by '$rule' of $file; add before that line: + : $LOGIN : ALL"
  fi
}

# The lines of PAM's account rules for sshd that name a module; false where there is none.
account_asks() { # MODULE
  included=$(sed -n 's/^@include[[:space:]]*//p
s/^-*account[[:space:]]*\(include\|substack\)[[:space:]]*//p' /etc/pam.d/sshd 2>/dev/null)
  for file in sshd $included; do
    grep -s "^-*account[[:space:]].*$1\.so" /etc/pam.d/$file || :
  done | grep .
}

# The rules of TCP wrappers as those of pam_access, for a sshd that knows them; hosts.allow comes first.
wrapper_rules() {
  ldd "$(command -v sshd)" 2>/dev/null | grep -q libwrap || return 0
  for file in allow deny; do
    sed -e :more -e '/\\$/{N;s/\\\n//;b more' -e '}' /etc/hosts.$file 2>/dev/null | awk -F: -v sign=$file '
      /^[ \t]*(#|$)/ { next }
      {
        verdict = sign
        if (tolower($3) ~ /^[ \t]*(allow|deny)[ \t]*$/) verdict = tolower($3)
        print (verdict ~ /allow/ ? "+" : "-") ":" $1 ":" $2
      }'
  done
}

# Reads rules, "+ or - : names : origins", of which the first that matches counts; prints it where it keeps NAME out. Plain
# addresses are compared. What else an origin is counts as met where a rule lets in or excepts it, and as not met where one
# keeps out: what may work is not refused.
first_match() { # NAME
  awk -v name="$1" -v from=" ${FROM-} " '
    function match_of(list, what, sign,   words, count, i, hit) {
      count = split(list, words, /[ ,\t]+/)
      for (i = 1; i <= count; i++) {
        if (words[i] == "EXCEPT") {
          if (!hit) return 0
          sub(/^.*[ ,\t]EXCEPT[ ,\t]/, "", list)
          return !match_of(list, what, "+")
        }
        if (words[i] != "" && (what == "name" ? is_name(words[i]) : is_origin(words[i], sign))) hit = 1
      }
      return hit
    }
    function is_name(word) { return word == "ALL" || word == name || word == "(" name ")" }
    function is_origin(word, sign) {
      if (word == "ALL") return 1
      if (word == "LOCAL") return 0
      met = index(from, " " word (word ~ /\.$/ ? "" : " ")) > 0
      if (from ~ /[0-9]/ && from !~ /[^0-9. ]/ && word ~ /^[0-9.]+$/) return met
      return sign == "+" || met
    }
    /^[ \t]*(#|$)/ { next }
    {
      line = $0
      sign = substr(line, 1, index(line, ":") - 1)
      rest = substr(line, index(line, ":") + 1)
      names = substr(rest, 1, index(rest, ":") - 1)
      origins = substr(rest, index(rest, ":") + 1)
      gsub(/[ \t]/, "", sign)
      if (match_of(names, "name", sign) && match_of(origins, "origin", sign)) {
        if (sign == "-") print line
        exit
      }
    }'
}
