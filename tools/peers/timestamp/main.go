// Sigstore's timestamp authority without its metrics listener.
//
// Upstream's command always serves metrics on port 2112, so that only one can run on a machine; tests start as many as
// there are test runs. The server is upstream's own; only its main function is replaced.
package main

import (
	"flag"
	"log"
	"net"
	"strconv"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

const (
	policyOID = "1.3.6.1.4.1.57264.2" // Sigstore's own, upstream's default
	timeout   = 10 * time.Second
)

func main() {
	address := flag.String("address", "127.0.0.1:3004", "where to listen, as HOST:PORT")
	key := flag.String("key", "", "PEM file with the private key")
	chain := flag.String("chain", "", "PEM file with the certificates, the key's own first")
	flag.Parse()

	host, portText, err := net.SplitHostPort(*address)
	if err != nil {
		log.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		log.Fatal(err)
	}
	for name, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     *key,
		"certificate-chain-path":   *chain,
		"enforce-intermediate-eku": true,
		"default-policy-oid":       policyOID,
		"accepted-policy-oids":     []string{policyOID},
		"max-request-body-size":    uint64(1 << 20),
	} {
		viper.Set(name, value)
	}
	authority := server.NewRestAPIServer(host, port, []string{"http"}, false, timeout, timeout)
	if err := authority.Serve(); err != nil {
		log.Fatal(err)
	}
}
