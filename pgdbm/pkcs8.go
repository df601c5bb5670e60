package pgdbm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what a key was encrypted with is not ours to choose
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

var errKeyPassword = errors.New("the password does not open the key")

// decryptPKCS8 opens a private key as OpenSSL 3 encrypts it (RFC 8018: PBES2 with
// PBKDF2 and AES-CBC), which crypto/x509 cannot.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var scheme struct{ Derivation, Encryption pkix.AlgorithmIdentifier }
	var kdf struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		Hash       pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	var iv []byte
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("it is malformed: %w", err)
	}
	if info.Algorithm.Algorithm.String() != oidPBES2 {
		return nil, unsupportedKey(info.Algorithm)
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, fmt.Errorf("it is malformed: %w", err)
	}
	size, ok := aesKeySizes[scheme.Encryption.Algorithm.String()]
	if !ok {
		return nil, unsupportedKey(scheme.Encryption)
	}
	if scheme.Derivation.Algorithm.String() != oidPBKDF2 {
		return nil, unsupportedKey(scheme.Derivation)
	}
	_, err1 := asn1.Unmarshal(scheme.Derivation.Parameters.FullBytes, &kdf)
	_, err2 := asn1.Unmarshal(scheme.Encryption.Parameters.FullBytes, &iv)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("it is malformed: %w", err)
	}
	newHash := keyHashes[kdf.Hash.Algorithm.String()]
	if newHash == nil {
		return nil, unsupportedKey(kdf.Hash)
	}
	key, err := pbkdf2.Key(newHash, password, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(iv) != aes.BlockSize || len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return nil, errors.New("it is malformed: its length is wrong")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errKeyPassword
	}
	plain = plain[:len(plain)-padding]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, errKeyPassword
	}
	return plain, nil
}

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

var (
	aesKeySizes = map[string]int{
		"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32,
	}
	keyHashes = map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New,
		"1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
)

func unsupportedKey(a pkix.AlgorithmIdentifier) error {
	return fmt.Errorf("it is encrypted in a way that is not supported (%s): openssl pkcs8 -topk8 -v2 aes-256-cbc converts it", a.Algorithm)
}
