// Counts the seats of a licence as docs/reference/guard-protocol.md says, steps 4 to 6.

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

const clocks = 300

type place struct {
	Vendor           string
	Product          string   `json:"product"`
	Tenant           string   `json:"tenant"`
	Built            string   `json:"built"`
	Installation     string   `json:"installation"`
	InstallationHash string   `json:"installation_hash"`
	ReadOnlyScopes   []string `json:"read_only_scopes"`
}

type result struct {
	Status     int      `json:"status"`
	Error      string   `json:"-"` // where it is not that of the status
	Reason     string   `json:"reason"`
	RetryAfter int64    `json:"retry_after"`
	Scopes     []string `json:"scopes"`
}

type holder struct {
	who  string
	iat  int64
	seen float64
}

type coverage struct {
	verdicts []verdict
}

type guard struct {
	at       place
	builtAt  int64                    // seconds since 1970
	licences atomic.Pointer[coverage] // those that were fetched last
	seconds  func() float64           // a clock that only goes forward
	lock     sync.Mutex
	memory   map[string]holder // for an API that is one process; the page has the statement for several
}

// Step 6: who has a seat, without a name in it.
func whoHas(countedFor string, client, user *string) (string, bool) {
	names := []*string{client, user}
	if countedFor == "user" {
		names = []*string{user}
	}
	if names[0] == nil {
		return "", false
	}
	text := countedFor + ":"
	for _, it := range names {
		if it != nil {
			text += fmt.Sprintf("%d:%s,", len(*it), *it)
		}
	}
	hash := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(hash[:]), true
}

// Steps 4 to 6, for a token that is active and has the scopes that are needed. now: seconds since 1970.
func (g *guard) count(claims map[string]any, method string, needs []string, now int64) result {
	pool, scope := text(claims["pool"]), text(claims["scope"])
	seat, isSeat := seatOf(claims)
	var given *terms
	reason, licences := "", g.licences.Load()
	if licences != nil && pool != nil {
		given, reason = signed(licences.verdicts, *pool, now, g.builtAt)
	}
	seen := []string{}
	if scope != nil {
		visible := g.at.ReadOnlyScopes
		if isSeat && given != nil {
			visible = union(visible, given.Scopes)
		}
		seen = both(strings.Fields(*scope), visible)
		sort.Strings(seen)
	}
	switch {
	case !g.needsSeat(method, needs):
		return result{Status: 200, Scopes: seen}
	case !isSeat:
		return result{Status: 401}
	case licences == nil, seat.iat-now > clocks, now-seat.exp > clocks:
		return result{Status: 503, RetryAfter: 2}
	case given == nil:
		return result{Status: 403, Reason: reason}
	case now-seat.iat-given.AccessTTLMax > clocks:
		return result{Status: 401}
	case len(both(needs, seen)) < len(needs), len(both(seen, g.at.ReadOnlyScopes)) == len(seen):
		return result{Status: 403, Reason: "wrong_pool"}
	case len(both([]string{seat.countedFor}, given.Duplicates)) == 0:
		return result{Status: 403, Reason: "counted_otherwise"}
	case seat.number < 1 || seat.number > given.Signed:
		return result{Status: 403, Reason: "beyond_licence"}
	}
	refused := g.take(fmt.Sprintf("%s/%s/%s/%d", g.at.Product, g.at.Tenant, *pool, seat.number), seat, given.Hold)
	if refused != nil {
		return *refused
	}
	return result{Status: 200, Scopes: seen}
}

func isSafe(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS"
}

func (g *guard) needsSeat(method string, needs []string) bool {
	return !isSafe(method) || len(both(needs, g.at.ReadOnlyScopes)) < len(needs)
}

// Step 6: nil if the holder is let in, and kept.
func (g *guard) take(name string, of seat, hold int64) *result {
	g.lock.Lock()
	defer g.lock.Unlock()
	now := g.seconds()
	before, is := g.memory[name]
	left := before.seen + float64(hold) - now
	if is && before.who != of.who && of.iat < before.iat+hold && left > 0 {
		if of.iat < before.iat {
			return &result{Status: 401}
		}
		return &result{Status: 503, RetryAfter: max(1, int64(math.Ceil(left)))}
	}
	if g.memory == nil {
		g.memory = map[string]holder{}
	}
	g.memory[name] = holder{of.who, max(of.iat, before.iat), now} // iat never falls
	return nil
}

type seat struct {
	number, iat, exp int64
	countedFor, who  string
}

// Step 5.1.
func seatOf(claims map[string]any) (found seat, ok bool) {
	of, isSeat := claims["seat"].(map[string]any)
	countedFor := text(of["counted_for"])
	if !isSeat || countedFor == nil {
		return found, false
	}
	found.countedFor = *countedFor
	number, isNumber := whole(of["number"])
	iat, isIat := whole(claims["iat"])
	exp, isExp := whole(claims["exp"])
	found.number, found.iat, found.exp = number, iat, exp
	who, isKnown := whoHas(*countedFor, text(claims["client_id"]), text(claims["username"]))
	found.who = who
	return found, isNumber && isIat && isExp && isKnown
}

func text(of any) *string {
	if found, is := of.(string); is {
		return &found
	}
	return nil
}

// 7, and neither 7.0 nor true. What no int64 has is beyond any number that is signed.
func whole(of any) (int64, bool) {
	number, is := of.(json.Number)
	if !is || strings.ContainsAny(number.String(), ".eE") {
		return 0, false
	}
	found, err := number.Int64()
	if err != nil {
		return math.MaxInt64 / 2, true
	}
	return found, true
}
