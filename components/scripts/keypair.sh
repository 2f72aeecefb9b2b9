#!/bin/sh
# On a server: the tunnels' ed25519 key. Prints the public key. Values: KEY (path), COMMENT, PRIVATE_KEY (a user's own, or empty).
# Uses: core receipt files

preflight() {
  command -v ssh-keygen >/dev/null || fail "no ssh-keygen here; install the OpenSSH client"
  [ ! -e $KEY ] || [ -d $RECEIPT ] || grep -qs " $COMMENT$" $KEY.pub || fail "$KEY is there and not from this stack; move it away"
}

change() {
  mkdir -p -m 700 ${KEY%/*}
  remember $KEY
  K=$KEY.mt-new
  if [ -n "$PRIVATE_KEY" ]; then
    printf '%s\n' "$PRIVATE_KEY" >$K
  elif [ -e $KEY ]; then
    cp $KEY $K
  fi
  L=$(public) || {
    [ -z "$PRIVATE_KEY" ] || fail "tunnelPrivateKey is no private key without passphrase; give another"
    rm -f $K
    ssh-keygen -q -t ed25519 -N '' -f $K
    L=$(public) || fail "ssh-keygen makes no key here; see what it says: ssh-keygen -y -f $KEY"
  }
  ! cmp -s $K $KEY || touch -r $KEY $K
  # First what says that the key is ours.
  put $KEY.pub "$(echo "$L" | cut -d' ' -f1,2) $COMMENT"
  mv -f $K $KEY
  label $KEY
}

# Prints the public half, if it is one and no other text.
public() {
  (chmod 600 "$K" && ssh-keygen -y -P '' -f "$K") 2>/dev/null |
    grep -xE '(ssh|ecdsa)-[a-z0-9-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?'
}

# Marked, for a login's greeting may stand in the output as well.
record() {
  manifest $KEY $KEY.pub
  echo "metrics-tunnel $(cat $KEY.pub)"
}

undo() {
  rm -f $KEY*.mt-*
  rmdir -p ${KEY%/*} 2>/dev/null
}

restore() {
  # A host that is offline while the key rotates has a tunnel that still needs the old one.
  ! W=$(grep -ls "^LoadCredential=key:$KEY$" /etc/systemd/system/metrics-tunnel-*.service) || fail "$KEY is still used by ${W##*/}; take offline out of that host, or set rotation as it was, then run again"
  away $KEY $KEY.pub
  rmdir -p ${KEY%/*} 2>/dev/null || :
}

places() { echo "$KEY"; }
