// Counts the seats of a licence as docs/reference/guard-protocol.md says, and compares each answer with the vectors.
//
//	go run . vectors ../../../docs/reference/guard-vectors.json
//
// What is in place of an API here is the list of requests in the vectors; `answer` is what its guard would do.

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"
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

type request struct {
	Now    int64          `json:"now"`
	Claims map[string]any `json:"claims"`
	Method string         `json:"method"`
	Needs  []string       `json:"needs"`
	result
}

type result struct {
	Status     int      `json:"status"`
	Reason     string   `json:"reason"`
	RetryAfter int64    `json:"retry_after"`
	Scopes     []string `json:"scopes"`
}

type vectors struct {
	Vendor struct {
		Vendor string                       `json:"vendor"`
		Keys   []struct{ Kid, X, Y string } `json:"keys"`
	} `json:"vendor"`
	Place    place             `json:"place"`
	Licences map[string]string `json:"licences"`
	Verdicts []struct {
		Licence string  `json:"licence"`
		Reason  *string `json:"reason"`
	} `json:"verdicts"`
	Signed []struct {
		Licences []string `json:"licences"`
		Pool     string   `json:"pool"`
		Now      int64    `json:"now"`
		Terms    *terms   `json:"terms"`
		Reason   string   `json:"reason"`
	} `json:"signed"`
	Who []struct {
		CountedFor string  `json:"counted_for"`
		ClientID   *string `json:"client_id"`
		Username   *string `json:"username"`
		Who        *string `json:"who"`
	} `json:"who"`
	Scenarios []struct {
		Name     string    `json:"name"`
		Licences []string  `json:"licences"`
		Requests []request `json:"requests"`
	} `json:"scenarios"`
}

type holder struct {
	who       string
	iat, seen int64
}

type guard struct {
	at       place
	verdicts []verdict
	built    int64
	memory   map[string]holder
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

// Steps 4 to 6.
func (g *guard) answer(of request) result {
	pool, _ := of.Claims["pool"].(string)
	scopes := strings.Fields(of.Claims["scope"].(string))
	seat, number, countedFor, isSeat := seatOf(of.Claims)
	given, reason := signed(g.verdicts, pool, of.Now, g.built)
	seen := both(scopes, g.at.ReadOnlyScopes)
	if isSeat && given != nil {
		seen = both(scopes, union(g.at.ReadOnlyScopes, given.Scopes))
	}
	sort.Strings(seen)
	isSafe := of.Method == "GET" || of.Method == "HEAD" || of.Method == "OPTIONS"
	if isSafe && len(both(of.Needs, g.at.ReadOnlyScopes)) == len(of.Needs) {
		return result{Status: 200, Scopes: seen}
	}
	switch {
	case !isSeat:
		return result{Status: 401}
	case seat.iat-of.Now > clocks, of.Now-secondsOf(of.Claims["exp"]) > clocks:
		return result{Status: 503, RetryAfter: 2}
	case given == nil:
		return result{Status: 403, Reason: reason}
	case of.Now-seat.iat-given.AccessTTLMax > clocks:
		return result{Status: 401}
	case len(both(of.Needs, seen)) < len(of.Needs), len(both(seen, g.at.ReadOnlyScopes)) == len(seen):
		return result{Status: 403, Reason: "wrong_pool"}
	case len(both([]string{countedFor}, given.Duplicates)) == 0:
		return result{Status: 403, Reason: "counted_otherwise"}
	case number < 1 || number > given.Signed:
		return result{Status: 403, Reason: "beyond_licence"}
	}
	key := fmt.Sprintf("%s/%s/%s/%d", g.at.Product, g.at.Tenant, pool, number)
	before, is := g.memory[key]
	left := before.seen + given.Hold - of.Now
	if is && before.who != seat.who && seat.iat < before.iat+given.Hold && left > 0 {
		if seat.iat < before.iat {
			return result{Status: 401}
		}
		return result{Status: 503, RetryAfter: left}
	}
	g.memory[key] = holder{seat.who, max(seat.iat, before.iat), of.Now}
	return result{Status: 200, Scopes: seen}
}

// Step 5.1.
func seatOf(claims map[string]any) (found holder, number int64, countedFor string, ok bool) {
	seat, isSeat := claims["seat"].(map[string]any)
	digits, isNumber := seat["number"].(json.Number)
	countedFor, isText := seat["counted_for"].(string)
	if !isSeat || !isNumber || !isText || strings.ContainsAny(digits.String(), ".eE") {
		return found, 0, "", false
	}
	number, err := digits.Int64()
	if err != nil { // it is greater than any that is signed
		number = -1
	}
	who, isKnown := whoHas(countedFor, text(claims["client_id"]), text(claims["username"]))
	return holder{who: who, iat: secondsOf(claims["iat"])}, number, countedFor, isKnown
}

func text(of any) *string {
	if found, is := of.(string); is {
		return &found
	}
	return nil
}

func secondsOf(of any) int64 {
	found, err := of.(json.Number).Int64()
	if err != nil {
		panic(err)
	}
	return found
}

func main() {
	content, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var all vectors
	if err := decoder.Decode(&all); err != nil {
		panic(err)
	}
	wrong, count := 0, 0
	expect := func(what string, expected, found any) {
		count++
		if !reflect.DeepEqual(expected, found) {
			wrong++
			fmt.Printf("%s: expected %v, found %v\n", what, expected, found)
		}
	}
	all.Place.Vendor = all.Vendor.Vendor
	keys := map[string]*ecdsa.PublicKey{}
	for _, it := range all.Vendor.Keys {
		keys[it.Kid] = publicKey(it.X, it.Y)
	}
	day, err := time.Parse(time.DateOnly, all.Place.Built)
	if err != nil {
		panic(err)
	}
	hash := sha256.Sum256([]byte("licet installation\x00" + all.Place.Installation))
	expect("installation", all.Place.InstallationHash, base64.RawURLEncoding.EncodeToString(hash[:]))
	judged := func(names []string) (found []verdict) {
		for _, it := range names {
			found = append(found, judge(all.Licences[it], keys, all.Place))
		}
		return found
	}
	for _, it := range all.Verdicts {
		reason := ""
		if it.Reason != nil {
			reason = *it.Reason
		}
		expect(it.Licence, reason, judged([]string{it.Licence})[0].reason)
	}
	for _, it := range all.Signed {
		given, reason := signed(judged(it.Licences), it.Pool, it.Now, day.Unix())
		expect(fmt.Sprint(it.Licences, it.Now), it.Reason, reason)
		expect(fmt.Sprint(it.Licences, it.Now), it.Terms, given)
	}
	for _, it := range all.Who {
		who, is := whoHas(it.CountedFor, it.ClientID, it.Username)
		expect(fmt.Sprint("who ", it.CountedFor), it.Who != nil, is)
		if is && it.Who != nil {
			expect(fmt.Sprint("who ", it.CountedFor), *it.Who, who)
		}
	}
	for _, it := range all.Scenarios {
		g := &guard{all.Place, judged(it.Licences), day.Unix(), map[string]holder{}}
		for number, of := range it.Requests {
			expect(fmt.Sprintf("%s, request %d", it.Name, number+1), of.result, g.answer(of))
		}
	}
	fmt.Printf("%d answers, %d wrong\n", count, wrong)
	if wrong > 0 {
		os.Exit(1)
	}
}
