#!/bin/sh
# What a look tells of one part. A machine is read alone, and nothing on it is changed.
#
# What a part defines beside it, in the folder look:
#   present   is it there?
#   check     prints drift, a line each
#   notices   prints what is worth a word, and is neither drift nor touched
# A part's files and folders (its manifest and places) are compared here.

notices() { :; }

folder_drift() {
  wrong_folders | while read -r folder mode owner mended; do
    if [ -n "$mended" ]; then
      echo "$folder has mode and owner $mode $owner instead of $mended root"
    else
      open_to_others "$folder" "$mode" "$owner"
    fi
  done
}

# Prints what differs from the manifest, whose lines are "mode owner path" and "checksum  path".
manifest_drift() {
  set -- $(kept manifest | sed -n 's/^[0-9a-f]\{64\}  //p')
  [ -n "$*" ] || return 0
  NOW=$({
    stat -c '%a %U %n' "$@" || :
    sha256sum "$@" || :
  } 2>/dev/null)
  kept manifest | grep -vxF "$NOW" | while read -r A B C; do
    if [ -z "$C" ]; then
      [ ! -f "$B" ] || echo "$B was edited"
    elif [ ! -f "$C" ]; then
      echo "$C is missing"
    else
      echo "$C has mode and owner $(stat -c '%a %U' "$C") instead of $A $B"
    fi
  done
}

# One part's report to `pulumi preview`: lines of part, kind, text. Changes nothing. What `up` will apply is rehearsed.
observe() { # OWNER [changed], where the values are not those that were applied last
  begin
  wrong=$(out_of_place "$@")
  if [ -n "$wrong" ]; then
    report fail "$wrong"
    return
  fi
  recorded=$(recorded_as "$1")
  if [ -n "$recorded" ]; then
    generation=$(kept "owners/${recorded%.*}")
    report generation "${generation##* }"
    # Where a check cannot go on, its reason is the drift.
    drift=$({ folder_drift && manifest_drift && check; } 3>&1 | cat)
    if [ -n "$drift" ]; then
      printf '%s\n' "$drift" | while IFS= read -r text; do report drift "$text"; done
    fi
    if [ -n "$drift" ] || [ "${2-}" = changed ]; then
      refusal=$(rehearse "$1") || case $drift in *"$refusal"*) ;; *) report fail "$refusal" ;; esac
    fi
    notices | while IFS= read -r text; do report notice "$text"; done
  else
    OWNER=$1
    if damaged; then
      report drift "its receipt $RECEIPT is damaged; it is applied again"
    elif [ ! -d "$RECEIPT/owners" ] && present; then
      report drift "its receipt $RECEIPT is missing; it is applied again"
    fi
    refusal=$(rehearse "$1") || report fail "$refusal"
  fi
}

# Reports who owns what on this machine, whichever stack's it is.
observe_owners() {
  PART=
  begin
  for file in "$STORE"/*/owners/*; do
    [ -e "$file" ] || continue
    PART=${file%/owners/*}
    PART=${PART##*/}
    # One that is damaged says nothing of whose it is.
    read -r owner generation <"$file" || continue
    report owner "$owner"
  done
}

# Prints what apply would refuse.
rehearse() { # OWNER
  # A shell's trap may still have the redirection of the command that it ended.
  exec 3>&1 >/dev/null 2>&1
  trap 'printf %s "${said:-cannot tell; see what up says}" >&3' EXIT
  read -r own_process rest </proc/self/stat
  able
  only_ours "$1"
  preflight
  closed_to_others
}

report() { printf 'metrics-tunnel\t%s\t%s\t%s\n' "$PART" "$1" "$2"; }

# What keeps UNIT from running as its file says.
unit_drift() {
  overriding=$(dropins_by_prefix)
  [ -z "$overriding" ] || echo "$unit is overridden by $overriding"
  systemctl show -p UnitFileState -p ActiveState -p DropInPaths $unit | while IFS= read -r W; do
    case $W in
    UnitFileState=enabled) ;;
    UnitFileState=masked*) echo "$unit is masked; it gets its file back and is started" ;;
    UnitFileState=*) echo "$unit is not enabled; it is enabled again" ;;
    ActiveState=inactive | ActiveState=failed | ActiveState=deactivating)
      echo "$unit is stopped; it is started again"
      ;;
    DropInPaths=*"/$unit.d/"*)
      echo "$unit is overridden by $(own_dropins | tr '\n' ' ' | sed 's/ $//'); that goes, with its folder"
      ;;
    esac
  done
}
