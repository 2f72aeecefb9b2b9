#!/bin/sh
# On a server: the tunnels' ed25519 key. Prints the public key. Values: KEY (path), COMMENT, PRIVATE_KEY (a user's own, or empty).

preflight() {
  command -v ssh-keygen >/dev/null || refuse "no ssh-keygen here; install the OpenSSH client"
  if [ -e "$KEY" ] && [ ! -d "$RECEIPT/owners" ] && ! grep -qsF " $COMMENT" "$KEY.pub"; then
    refuse "$KEY is there and not from this stack; move it away"
  fi
}

change() {
  mkdir -p -m 755 /etc/metrics-tunnel
  mkdir -p -m 700 /etc/metrics-tunnel/keys
  remember "$KEY"
  remember "$KEY.pub"
  if [ -n "$PRIVATE_KEY" ]; then
    put "$KEY" 600 "$PRIVATE_KEY"
  elif [ -f "$KEY" ] && chmod 600 "$KEY" && public >/dev/null; then
    chown root:root "$KEY"
  else
    rm -f "$KEY.mt-new" "$KEY.mt-new.pub"
    ssh-keygen -q -t ed25519 -N '' -C "$COMMENT" -f "$KEY.mt-new" || fail "cannot make a key in /etc/metrics-tunnel/keys; see: df -h; then run again"
    rm -f "$KEY.mt-new.pub"
    mv -f "$KEY.mt-new" "$KEY"
  fi
  L=$(public) || fail "$KEY is no readable private key"
  put "$KEY.pub" 644 "$L"
}

public() { L=$(ssh-keygen -y -P '' -f "$KEY" 2>/dev/null) && echo "$(echo "$L" | cut -d' ' -f1,2) $COMMENT"; }

prove() { :; }

record() {
  manifest "$KEY" "$KEY.pub"
  cat "$KEY.pub"
}

undo() { :; }

restore() {
  rm -f "$KEY" "$KEY.pub"
  rmdir /etc/metrics-tunnel/keys /etc/metrics-tunnel 2>/dev/null || :
}

present() { [ -e "$KEY" ]; }

check() { :; }
