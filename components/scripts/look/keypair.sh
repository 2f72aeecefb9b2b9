#!/bin/sh
# What a look tells of the part keypair, behind its script.

present() { [ -e $KEY ]; }

check() {
  new="a new one is made, unless tunnelPrivateKey gives it, and each host gets it"
  if [ ! -s "$KEY" ]; then
    echo "there is no private key in $KEY; $new"
  elif ! kept manifest | grep -qxF "$(sha256sum "$KEY")"; then
    echo "where $KEY holds no private key any more, $new"
  fi
}

# Files in folders that only we make, and that no receipt names. One that a unit of ours takes has lost its receipt.
notices() {
  named=$(sed -n 's/^[0-9a-f]\{64\}  //p' "$STORE"/*/manifest)
  for file in "${KEY%/*}"/* /etc/metrics-tunnel/known_hosts/*; do
    [ ! -e "/etc/systemd/system/metrics-tunnel-${file##*/}.service" ] || continue
    case $file in *.mt-* | *"/*") continue ;; esac
    case "
$named
" in
    *"
$file
"*) ;;
    *) echo "$file is not from here: no receipt names it; it is left alone, look whose it is" ;;
    esac
  done
}
