#!/usr/bin/env bash
# Makes the seeds anew, with openssl: one file for each form that people have.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# `openssl ca` because it is the one command that sets both dates in every OpenSSL release.
cat >ca.cnf <<'END'
[ca]
default_ca = this
[this]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
crlnumber = number
policy = anything
default_md = sha256
default_crl_days = 36500
x509_extensions = names
[anything]
commonName = supplied
[names]
subjectAltName = DNS:a.test,IP:127.0.0.1
[responder]
extendedKeyUsage = OCSPSigning
[req]
distinguished_name = empty
[empty]
END
: >index
certify() { # certify KEY PEM: self-signed, and valid whenever this is run
    openssl req -new -config ca.cnf -key "$1" -subj /CN=seed -out request.pem
    openssl ca -batch -config ca.cnf -selfsign -keyfile "$1" -in request.pem -notext -out "$2" \
        -startdate 20200101000000Z -enddate 21200101000000Z 2>/dev/null
}
issue() { # issue NAME EXTENSIONS: by p256, to a new key
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
    openssl req -new -config ca.cnf -key "$1.key" -subj "/CN=$1" -out request.pem
    openssl ca -batch -config ca.cnf -extensions "$2" -cert p256.pem -keyfile p256.key -in request.pem -notext \
        -out "$1.pem" -startdate 20200101000000Z -enddate 21200101000000Z 2>/dev/null
}
respond() { # respond SIGNER CERTIFICATE OPTION...: what SIGNER says of it, in staple.der
    local signer=$1 certificate=$2
    shift 2
    openssl ocsp -index index -CA p256.pem -rsigner "$signer.pem" -rkey "$signer.key" -issuer p256.pem "$@" \
        -cert "$certificate.pem" -respout staple.der -noverify >/dev/null 2>&1
}
on_record() { # on_record STATUS SINCE CERTIFICATE
    printf '%s\t21250101000000Z\t%s\t%s\tunknown\t/CN=%s\n' "$1" "$2" \
        "$(openssl x509 -in "$3.pem" -noout -serial | cut -d= -f2)" "$3"
}
joined() { # joined CHAIN KEY [STAPLE]: the files of one input
    cat "$1"
    printf '\n=====\n'
    cat "$2"
    [ $# -lt 3 ] || { printf '\n=====\n' && cat "$3"; }
}
seed() { # seed TARGET NAME: what comes in
    mkdir -p "$here/seeds/$1"
    cat >"$here/seeds/$1/$2"
}

for kind in p256:EC:ec_paramgen_curve:P-256 p384:EC:ec_paramgen_curve:P-384 \
    p521:EC:ec_paramgen_curve:P-521 rsa:RSA:rsa_keygen_bits:2048 ed25519:ED25519; do
    IFS=: read -r name algorithm option value <<<"$kind"
    openssl genpkey -algorithm "$algorithm" ${option:+-pkeyopt "$option:$value"} -out "$name.key" 2>/dev/null
    certify "$name.key" "$name.pem"
    openssl x509 -in "$name.pem" -outform DER -out "$name.der"
    openssl pkey -in "$name.key" -outform DER -out "$name.key.der"
    joined "$name.pem" "$name.key" | seed identity "$name"
    joined "$name.der" "$name.key.der" | seed identity "$name-der"
    seed pem "$name" <"$name.key"
done

openssl rsa -in rsa.key -traditional -out pkcs1.key 2>/dev/null
openssl ecparam -name prime256v1 -out sec1.key
openssl ec -in p256.key 2>/dev/null >>sec1.key
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in p256.key -out encrypted.key
openssl rsa -in rsa.key -aes128 -traditional -passout pass:secret -out proc-type.key 2>/dev/null
for name in pkcs1 sec1 encrypted proc-type; do
    seed pem "$name" <"$name.key"
done
joined rsa.pem pkcs1.key | seed identity pkcs1
joined p256.pem sec1.key | seed identity sec1-with-parameters
joined p256.pem encrypted.key | seed identity encrypted
joined p256.pem ed25519.key | seed identity anothers-key

cat p256.pem p256.key >combined
cat p256.pem p384.pem ed25519.pem >chain
seed identity combined <combined
joined chain p256.key | seed identity three-certificates
joined combined combined | seed identity key-file-with-certificates
openssl pkcs12 -export -in p256.pem -inkey p256.key -passout pass: -out bag.p12
openssl pkcs12 -in bag.p12 -passin pass: -nodes -out bag 2>/dev/null
seed identity bag-attributes <bag
openssl x509 -in p256.pem -text | cat - p256.key | seed identity text-before-pem
sed 's/$/\r/' combined | seed identity crlf
printf '\xef\xbb\xbf' | cat - combined | seed identity byte-order-mark
head -c 300 combined | seed identity truncated
tr -d '\n' <combined | seed identity one-line
seed pem certificates <chain
seed pem bag <bag

# OCSP responses, and an error of a responder.
issue leaf names
issue responder responder
{ on_record V '' p256 && on_record V '' leaf && on_record R 240101000000Z responder; } >index
respond p256 p256 -ndays 36500
seed ocsp good <staple.der
joined p256.pem p256.key staple.der | seed identity with-staple
respond p256 responder -ndays 36500 -resp_no_certs
seed ocsp revoked <staple.der
respond p256 rsa
seed ocsp unknown <staple.der
respond responder leaf -ndays 36500 -sha256
seed ocsp delegated <staple.der
cat leaf.pem p256.pem >issued
joined issued leaf.key staple.der | seed identity with-delegated-staple
printf '\x30\x03\x0a\x01\x03' | seed ocsp try-later

# A list of revoked certificates.
echo 01 >number
printf 'R\t21250101000000Z\t240101000000Z\t2A\tunknown\t/CN=revoked\n' >>index
openssl ca -gencrl -config ca.cnf -keyfile p256.key -cert p256.pem -out crl.pem 2>/dev/null
openssl crl -in crl.pem -outform DER -out crl.der
seed crl pem <crl.pem
seed crl der <crl.der
cat crl.pem crl.pem | seed crl two
seed roots one <p256.pem
seed roots bundle <chain
seed roots der <p256.der
joined p256.pem crl.pem | seed trust with-list

# Keys of session tickets in each form, and sessions as rustls writes them down.
openssl rand 48 >short.bin
openssl rand 160 >long.bin
seed ticket_keys short <short.bin
seed ticket_keys long <long.bin
openssl rand -base64 48 >short.txt
openssl rand -base64 80 >long.txt
{ echo '# today' && openssl base64 -A -in short.bin && echo && cat short.txt; } | seed ticket_keys lines
seed ticket_keys wrapped <long.txt
cat short.bin short.bin | seed ticket_keys repeated
head -c 47 short.bin | seed ticket_keys truncated
head -c 240 /dev/zero | tr '\0' '\252' | seed ticket_keys ambiguous

before='\1\6a.test\3\4\23\1\60' after='\0\0\0\0\0\0\0\153\111\322\0\1\2\3\4'
{ printf "$before" && head -c 48 short.bin && printf "\0\0$after"; } | seed ticket session
{ printf '\0\3\3\300\53\60' && head -c 48 short.bin && printf "\1\0\1\2h2$after"; } | seed ticket nameless
number() { # number VALUE: in three bytes
    printf "\\$(($1 / 65536 / 64))$(($1 / 65536 / 8 % 8))$(($1 / 65536 % 8))"
    printf "\\$(($1 / 256 % 256 / 64))$(($1 / 256 % 256 / 8 % 8))$(($1 / 256 % 8))"
    printf "\\$(($1 % 256 / 64))$(($1 % 256 / 8 % 8))$(($1 % 8))"
}
size=$(stat -c %s p256.der)
{
    printf "$before" && head -c 48 short.bin && printf '\0\1'
    number $((size + 3)) && number "$size" && cat p256.der && printf "\0$after"
} | seed ticket certified
