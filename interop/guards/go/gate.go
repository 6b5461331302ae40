// Protects an API: introspects tokens (RFC 7662), fetches the licences and answers, as docs/reference/guard-protocol.md
// says, steps 1 and 7.

package main

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	bodyMax      = 262144
	licencesMax  = 256
	serialsMax   = 4096
	every        = 300 * time.Second
	again        = 10 * time.Second
	afterFailure = 2 * time.Second
)

type gate struct {
	guard
	tenantURL, clientID, secret string
	keys                        map[string]*ecdsa.PublicKey
	http                        http.Client

	fetching sync.Mutex
	tried    time.Time
	serials  map[string]*licence // all that were ever seen
}

func newGate(tenantURL, clientID, secret string, at place, builtAt int64, keys map[string]*ecdsa.PublicKey) *gate {
	start := time.Now()
	g := &gate{tenantURL: tenantURL, clientID: clientID, secret: secret, keys: keys, serials: map[string]*licence{}}
	g.at, g.builtAt = at, builtAt
	g.seconds = func() float64 { return time.Since(start).Seconds() } // time.Since is monotonic
	g.http.Timeout = 5 * time.Second
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g
}

// Wraps a handler; needs says which scopes a request requires.
func (g *gate) protect(handler http.Handler, needs func(method string) []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		for _, it := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			if r.Header.Get(it) != "" {
				method = "POST" // it may change something
			}
		}
		found := g.check(method, r.Header.Values("Authorization"), needs(method))
		if found.Status != http.StatusOK {
			refuse(w, found)
			return
		}
		r.Header.Set("Licet-Scopes", strings.Join(found.Scopes, " ")) // whatever a client sent there
		handler.ServeHTTP(w, r)
	})
}

func (g *gate) check(method string, authorization []string, needs []string) result {
	if len(authorization) == 0 {
		return result{Status: 401, Error: "none"} // a challenge without an error
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return result{Status: 400, Error: "invalid_request"}
	}
	claims, err := g.introspected(token)
	if err != nil {
		return result{Status: 503, RetryAfter: 2} // log why; no token stands in a log
	}
	if !g.isActive(claims) {
		return result{Status: 401}
	}
	scope := text(claims["scope"])
	isShort := scope == nil || len(both(needs, strings.Fields(*scope))) < len(needs)
	if isShort || (claims["read_only"] != false && !isSafe(method)) {
		return result{Status: 403, Error: "insufficient_scope"}
	}
	g.renewBeside()
	found := g.count(claims, method, needs, time.Now().Unix())
	if isFirst := g.licences.Load() == nil; found.Status == 403 || (found.Status == 503 && isFirst) {
		after := again
		if isFirst {
			after = afterFailure
		}
		if g.renew(after) { // an upgrade counts at once
			found = g.count(claims, method, needs, time.Now().Unix())
		}
	}
	return found
}

// Asked at every request. An answer may be kept for its cache_for seconds: see docs/reference/token.md.
func (g *gate) introspected(token string) (map[string]any, error) {
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequest("POST", g.tenantURL+"/introspect", form)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return g.asked(request)
}

func (g *gate) asked(request *http.Request) (map[string]any, error) {
	// RFC 6749 2.3.1: both are encoded as in a form before they are put together.
	request.SetBasicAuth(url.QueryEscape(g.clientID), url.QueryEscape(g.secret))
	response, err := g.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyMax+1))
	if err != nil || response.StatusCode != http.StatusOK || len(body) > bodyMax {
		return nil, errors.Join(err, fmt.Errorf("answers %d", response.StatusCode))
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var found map[string]any
	return found, decoder.Decode(&found)
}

func (g *gate) isActive(claims map[string]any) bool {
	if claims["active"] != true {
		return false
	}
	kind := text(claims["token_type"])
	if kind != nil && !strings.EqualFold(*kind, "Bearer") {
		return false // a refresh token
	}
	issuer := text(claims["iss"]) // another tenant's token is none of this API's
	return issuer == nil || strings.HasSuffix(strings.TrimRight(*issuer, "/"), "/"+g.at.Tenant)
}

// Step 1: fetches every five minutes, and lets nobody wait for it.
func (g *gate) renewBeside() {
	if g.licences.Load() != nil && g.isDue(every) {
		go g.renew(every)
	}
}

func (g *gate) isDue(after time.Duration) bool {
	if !g.fetching.TryLock() {
		return false // somebody fetches
	}
	defer g.fetching.Unlock()
	return time.Since(g.tried) >= after
}

// Fetches, or waits for whoever does; whether there was a fetch.
func (g *gate) renew(after time.Duration) bool {
	asked := time.Now()
	g.fetching.Lock()
	defer g.fetching.Unlock()
	if since := time.Since(g.tried); since < after {
		return g.tried.After(asked)
	}
	g.tried = time.Now()
	request, err := http.NewRequest("GET", g.tenantURL+"/licences", nil)
	if err != nil {
		return true
	}
	if found, err := g.asked(request); err == nil { // else what was fetched before counts by its own times
		g.accept(found["licences"])
	}
	return true
}

func (g *gate) accept(of any) {
	texts, is := of.([]any)
	if !is || len(texts) > licencesMax || (len(texts) == 0 && g.licences.Load() == nil) {
		return // an empty list says nothing of what will be installed
	}
	found := &coverage{}
	for _, it := range texts {
		text, _ := it.(string)
		one := judge(text, g.keys, g.at)
		if one.reason == "" && len(g.serials) < serialsMax {
			g.serials[one.licence.id+"/"+strconv.FormatInt(one.licence.serial, 10)] = one.licence
		}
		found.verdicts = append(found.verdicts, one)
	}
	now := licenceTime(found.verdicts, time.Now().Unix(), g.builtAt)
	for i, it := range found.verdicts {
		for _, seen := range g.serials {
			if it.reason == "" && seen.id == it.licence.id && seen.serial > it.licence.serial && seen.nbf+day <= now {
				found.verdicts[i].reason = "licence_over" // replaced, also if the server hides the later serial
			}
		}
	}
	g.licences.Store(found)
}

// Step 7.
func refuse(w http.ResponseWriter, of result) {
	kind := of.Error
	switch {
	case kind == "none":
		kind = "invalid_request"
		w.Header().Set("WWW-Authenticate", `Bearer realm="api"`)
	case of.Status == 503:
		kind = "temporarily_unavailable"
		w.Header().Set("Retry-After", strconv.FormatInt(of.RetryAfter, 10))
	case of.Reason != "":
		kind = "licence_refused"
	default:
		if kind == "" {
			kind = "invalid_token"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="api", error="%s"`, kind))
	}
	body := map[string]string{"error": kind}
	if of.Reason != "" {
		body["reason"] = of.Reason
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(of.Status)
	_ = json.NewEncoder(w).Encode(body)
}
