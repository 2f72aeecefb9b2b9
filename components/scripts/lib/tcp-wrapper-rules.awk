# Turns the rules of TCP wrappers into those of pam_access, for rule-that-keeps-out.awk.
#
# Reads
#   /etc/hosts.allow or /etc/hosts.deny, "SERVICES : CLIENTS", with continued lines made one.
#
# Prints for each rule "+:SERVICES:CLIENTS" where it lets in, and "-:SERVICES:CLIENTS" where it
# keeps out.
#
# Needs `verdict` (-v), which the file has in its name: allow or deny.

BEGIN { FS = ":" }

/^[ \t]*(#|$)/ { next }

# A rule may say in a third field what it does, in whichever file it stands.
{ its_verdict = tolower($3) ~ /^[ \t]*(allow|deny)[ \t]*$/ ? tolower($3) : verdict }

{ print (its_verdict ~ /allow/ ? "+" : "-") ":" $1 ":" $2 }
