// An API behind the guard: GET needs no seat, and POST needs the scope "all", and so a seat.
//
// What a vendor compiles in comes as a line of JSON on standard input here, with the secret of the customer; the answer
// is the URL.

package main

import (
	"bufio"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func serve() {
	var of struct {
		TenantURL    string `json:"tenant_url"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Built        string `json:"built"`
		Installation string `json:"installation"`
		Vendor       struct {
			Vendor  string                       `json:"vendor"`
			Product string                       `json:"product"`
			Keys    []struct{ Kid, X, Y string } `json:"keys"`
		} `json:"vendor"`
	}
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &of)
	}
	built, dayErr := time.Parse(time.DateOnly, of.Built)
	if err != nil || dayErr != nil {
		panic(fmt.Sprint(err, dayErr))
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, it := range of.Vendor.Keys {
		keys[it.Kid] = publicKey(it.X, it.Y)
	}
	at := place{
		Vendor: of.Vendor.Vendor, Product: of.Vendor.Product, Built: of.Built,
		Tenant:           of.TenantURL[strings.LastIndex(of.TenantURL, "/")+1:],
		InstallationHash: installationHash(of.Installation), ReadOnlyScopes: []string{"view"},
	}
	g := newGate(of.TenantURL, of.ClientID, of.ClientSecret, at, built.Unix(), keys)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"scopes": r.Header.Get("Licet-Scopes")})
	})
	needs := func(method string) []string {
		if isSafe(method) {
			return nil
		}
		return []string{"all"}
	}
	server := http.Server{Handler: g.protect(handler, needs), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	fmt.Printf("{\"url\": \"http://%s/\"}\n", listener.Addr())
	_, _ = io.Copy(io.Discard, input) // it ends when standard input does
}
