#!/bin/sh
# On a server: the tunnels' ed25519 key. Prints the public key.
#
# Values: KEY (path), COMMENT (the public key's), PRIVATE_KEY (a user's own, or empty).
# Uses: core receipt files

preflight() {
  command -v ssh-keygen >/dev/null || fail "no ssh-keygen here; install the OpenSSH client"
  is_ours_or_none || fail "$KEY is there and not from this stack; move it away"
}

# By its receipt, or by its public half, which is written first.
is_ours_or_none() {
  [ ! -e "$KEY" ] || [ -d "$RECEIPT" ] || grep -qs " $COMMENT$" "$KEY.pub"
}

change() {
  mkdir -p -m 700 "${KEY%/*}"
  remember "$KEY"
  new_key=$KEY.mt-new
  write_key
  # A key that stays keeps its time.
  ! cmp -s "$new_key" "$KEY" || touch -r "$KEY" "$new_key"
  # First what says that the key is ours.
  put "$KEY.pub" "$(echo "$public_key" | cut -d' ' -f1,2) $COMMENT"
  replace "$KEY" "$new_key"
  label "$KEY"
}

# Writes the user's own key to new_key; else the one that is there, if it is one; else another.
# Sets: public_key (its public half)
write_key() {
  if [ -n "$PRIVATE_KEY" ]; then
    printf '%s\n' "$PRIVATE_KEY" >"$new_key"
  elif [ -e "$KEY" ]; then
    cp "$KEY" "$new_key"
  fi
  public_key=$(public_half "$new_key") || {
    [ -z "$PRIVATE_KEY" ] ||
      fail "tunnelPrivateKey is no private key without passphrase; give another"
    rm -f "$new_key"
    ssh-keygen -q -t ed25519 -N '' -f "$new_key"
    public_key=$(public_half "$new_key") ||
      fail "ssh-keygen makes no key here; see what it says: ssh-keygen -y -f $KEY"
  }
}

# Prints the public half of a private key, if it is one and no other text.
public_half() { # FILE
  (chmod 600 "$1" && ssh-keygen -y -P '' -f "$1") 2>/dev/null |
    grep -xE '(ssh|ecdsa)-[a-z0-9-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?'
}

# Marked, for a login's greeting may stand in the output as well.
record() {
  manifest "$KEY" "$KEY.pub"
  echo "metrics-tunnel $(cat "$KEY.pub")"
}

places() { echo "$KEY"; }

undo() {
  rm -f "$KEY"*.mt-*
  drop_folder
}

# A host that is offline while the key rotates has a tunnel that still needs the old one.
restore() {
  users=$(grep -ls "^LoadCredential=key:$KEY$" /etc/systemd/system/metrics-tunnel-*.service || :)
  if [ -n "$users" ]; then
    fail "$KEY is still used by ${users##*/}; take offline out of that host," \
      "or set rotation as it was, then run again"
  fi
  away "$KEY" "$KEY.pub"
  drop_folder || :
}

# It stays where it is not empty.
drop_folder() {
  rmdir -p "${KEY%/*}" 2>/dev/null
}
