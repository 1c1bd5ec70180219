# Makes KIND.key and KIND.pem for each kind of key, and in keys/ each key in each encoding: KIND.ENCODING. The password
# of encrypted keys is "x". Runs behind the functions of tests/support/workshop.rs.

mkdir keys; : >missing
# attempt WORD COMMAND...: builds and releases of OpenSSL differ; if the command fails, the word is among the missing.
attempt() { word=$1; shift; "$@" || echo "$word" >>missing; }
made() { ! grep -qx -e "$1" missing; }
generate() { kind=$1; shift; openssl genpkey -out "$kind.key" "$@"; }
# self_signed KEY CERTIFICATE OPTION...
self_signed() {
    key=$1 out=$2; shift 2
    openssl req -x509 -key "$key" -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test -out "$out" "$@"
}
curve() { generate "$1" -algorithm EC -pkeyopt ec_paramgen_curve:"$1"; }

# RSA keys take the longest, so they are made at the same time.
generate rsa-1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024 & a=$!
generate rsa-2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048 & b=$!
generate rsa-2056 -algorithm RSA -pkeyopt rsa_keygen_bits:2056 & c=$!
generate rsa-3072 -algorithm RSA -pkeyopt rsa_keygen_bits:3072 & d=$!
generate rsa-exponent-3 -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 & e=$!
generate rsa-3-primes -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_primes:3 & f=$!
generate rsa-pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 & g=$!
generate rsa-pss-sha256 -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 \
    -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32 & h=$!
openssl dsaparam -genkey -out dsa.parameters 1024 & i=$!
for curve in P-256 P-384 P-521; do curve $curve; done
for curve in P-192 P-224 secp256k1 brainpoolP256r1 brainpoolP384r1 brainpoolP512r1; do attempt $curve curve $curve; done
generate ed25519 -algorithm ed25519
attempt ed448 generate ed448 -algorithm ed448
generate other -algorithm EC -pkeyopt ec_paramgen_curve:P-256
for job in $a $b $c $d $e $f $g $h $i; do wait $job; done
openssl pkey -in dsa.parameters -out dsa.key
for kind in ML-DSA-44 ML-DSA-65 ML-DSA-87; do attempt $kind generate $kind -algorithm $kind; done
for kind in $(cat missing); do rm -f $kind.key; done

for key in *.key; do
    kind=${key%.key}
    self_signed $key $kind.pem
    cp $key keys/$kind.pkcs8
    openssl pkey -in $key -outform DER -out keys/$kind.pkcs8-der
done
for kind in rsa-1024 rsa-2048 rsa-3072 rsa-3-primes dsa P-224 P-256 P-384 P-521 secp256k1 brainpoolP256r1; do
    made $kind || continue
    openssl pkey -in $kind.key -traditional -out keys/$kind.traditional
    openssl pkey -in $kind.key -traditional -outform DER -out keys/$kind.traditional-der
done
for kind in P-256 P-384 P-521 secp256k1 brainpoolP256r1; do
    made $kind || continue
    { openssl ecparam -name $kind; cat keys/$kind.traditional; } >keys/$kind.behind-parameters
    { openssl ecparam -name $kind -param_enc explicit; cat keys/$kind.traditional; } >new
    mv new keys/$kind.behind-explicit-parameters
    openssl ec -in $kind.key -param_enc explicit -out keys/$kind.explicit
    openssl pkey -in keys/$kind.explicit -out keys/$kind.explicit-pkcs8
    openssl ec -in $kind.key -conv_form compressed -out keys/$kind.compressed
    openssl ec -in $kind.key -no_public -out keys/$kind.no-public
    openssl pkey -in $kind.key -text -out keys/$kind.text
done
for kind in rsa-2048 P-256 P-384 ed25519; do
    encrypt() {
        suffix=$1; shift
        openssl pkcs8 -topk8 -in $kind.key "$@" -passout pass:x -out new && mv new keys/$kind.encrypted-$suffix
    }
    for cipher in aes-128-cbc aes-192-cbc aes-256-cbc des3 aes-256-cfb aes-256-ofb; do encrypt $cipher -v2 $cipher; done
    for cipher in aria-256-cbc camellia-256-cbc; do attempt $cipher encrypt $cipher -v2 $cipher; done
    for hash in hmacWithSHA1 hmacWithSHA224 hmacWithSHA256 hmacWithSHA384 hmacWithSHA512; do
        encrypt $hash -v2prf $hash
    done
    for old in PBE-SHA1-3DES PBE-SHA1-2DES; do
        attempt $old encrypt $old -v1 $old
    done
    encrypt 1-round -iter 1
    openssl pkcs8 -topk8 -in $kind.key -passout pass:y -out keys/$kind.encrypted-other-password
    encrypt der -outform DER
    cp keys/$kind.encrypted-aes-256-cbc keys/$kind.no-password
done
openssl pkcs8 -topk8 -in P-256.key -scrypt -passout pass:x -out keys/P-256.encrypted-scrypt
for kind in rsa-2048 P-256; do
    encrypt() {
        openssl pkey -in $kind.key -traditional -$1 -passout pass:x -out new
        mv new keys/$kind.encrypted-traditional-$1
    }
    for cipher in aes128 aes256 des3; do encrypt $cipher; done
    for cipher in aria128 camellia128; do attempt traditional-$cipher encrypt $cipher; done
done

# Certificates whose key is written in another way.
openssl ec -in P-256.key -param_enc explicit -out explicit
self_signed explicit P-256-explicit.pem
openssl ec -in P-256.key -conv_form compressed -out compressed
self_signed compressed P-256-compressed.pem
# The same keys under each signature.
for hash in md5 sha1 sha224 sha256 sha384 sha512 sha3-256 ripemd160; do
    attempt $hash self_signed rsa-2048.key rsa-2048-$hash.pem -$hash
done
for hash in sha256 sha384 sha512; do
    self_signed rsa-2048.key rsa-2048-pss-$hash.pem -$hash -sigopt rsa_padding_mode:pss
done
for hash in sha1 sha224 sha256 sha384 sha512 sha3-256; do self_signed P-256.key P-256-$hash.pem -$hash; done
for signer in rsa-1024 rsa-2048 rsa-pss P-384 P-521 secp256k1 brainpoolP256r1 ed25519 ed448; do
    made $signer || continue
    openssl req -x509 -key $signer.key -days 30 -subj /CN=signer -out signer-$signer.pem
    openssl req -new -key P-256.key -subj /CN=a.test -out request
    printf 'subjectAltName=DNS:a.test\nauthorityKeyIdentifier=keyid\n' >extensions
    openssl x509 -req -in request -CA signer-$signer.pem -CAkey $signer.key -CAcreateserial -days 20 \
        -extfile extensions -out leaf-$signer.pem
done
