// Reads a licence as docs/reference/guard-protocol.md says, steps 2 and 3, with the standard library alone.

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

const day = 86400
const secondsMax = 253370764799
const levelsMax = 64 // of JSON
const visible = `[^\x00-\x20\x7f-\x{9f}\x{2028}\x{2029}]`

type pool struct {
	seats, overdraft, hold, accessTTLMax int64
	scopes, duplicates                   []string
}

type licence struct {
	id, vendor, product, tenant, installation, updatesUntil string
	serial, iat, nbf, exp, grace                            int64 // exp is -1 for a perpetual one
	pools                                                   map[string]pool
}

type terms struct {
	Signed       int64    `json:"signed"`
	Scopes       []string `json:"scopes"`
	Duplicates   []string `json:"duplicates"`
	Hold         int64    `json:"hold"`
	AccessTTLMax int64    `json:"access_ttl_max"`
}

// A licence that does not count says why; its pools are known if it can be read at all.
type verdict struct {
	licence *licence
	reason  string
}

var known = set("iss product tenant licence serial iat nbf exp grace installation customer updates_until features" +
	" must pools")
var poolMembers = set("seats scopes overdraft hold access_ttl_max duplicates")
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
var plain = regexp.MustCompile(`^` + visible + `(([ ]|` + visible + `){0,98}` + visible + `)?$`)
var id = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
var hash = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
var word = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,64}$`)
var errUnreadable = errors.New("licence_unreadable")

func judge(text string, keys map[string]*ecdsa.PublicKey, at place) verdict {
	found, err := verified(text, keys)
	switch {
	case err != nil && !errors.Is(err, errUnreadable), found.vendor != at.Vendor:
		return verdict{nil, "unknown_vendor"}
	case err != nil:
		return verdict{found, "licence_unreadable"}
	case found.product != at.Product:
		return verdict{found, "not_this_product"}
	case found.tenant != at.Tenant:
		return verdict{found, "not_this_tenant"}
	case found.installation != "" && found.installation != at.InstallationHash:
		return verdict{found, "not_this_installation"}
	case found.updatesUntil != "" && at.Built > found.updatesUntil:
		return verdict{found, "updates_ended"}
	}
	return verdict{found, ""}
}

func verified(text string, keys map[string]*ecdsa.PublicKey) (*licence, error) {
	parts := strings.Split(text, ".")
	if len(text) > 16384 || len(parts) != 3 {
		return nil, errors.New("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		content, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // Go passes over line ends
			return nil, errors.New("not base64url")
		}
		decoded[i] = content
	}
	header, err := object(decoded[0])
	if err != nil {
		return nil, err
	}
	kid, _ := header["kid"].(string)
	if len(header) != 3 || header["alg"] != "ES256" || header["typ"] != "licet-licence+jws" || keys[kid] == nil {
		return nil, errors.New("another header")
	}
	signature := decoded[2]
	if len(signature) != 64 {
		return nil, errors.New("not 64 bytes")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(keys[kid], digest[:], r, s) {
		return nil, errors.New("not signed")
	}
	claims, err := object(decoded[1])
	if err != nil {
		return nil, err
	}
	return read(claims)
}

func read(claims map[string]any) (*licence, error) {
	r := reader{of: claims}
	found := &licence{id: r.text("licence", id), tenant: r.text("tenant", name)}
	found.vendor, found.product = r.text("iss", plain), r.text("product", plain)
	found.serial = r.number("serial", 1, 1<<31-1, nil)
	found.iat = r.number("iat", 0, secondsMax, nil)
	found.nbf = r.number("nbf", 0, secondsMax, &found.iat)
	perpetual, none := int64(-1), int64(0)
	found.exp = r.number("exp", 0, secondsMax, &perpetual)
	found.grace = r.number("grace", 0, 90*day, &none)
	if _, is := claims["installation"]; is {
		found.installation = r.text("installation", hash)
	}
	if _, is := claims["updates_until"]; is {
		found.updatesUntil = r.text("updates_until", plain)
		if _, err := time.Parse(time.DateOnly, found.updatesUntil); err != nil {
			r.fail("updates_until")
		}
	}
	if _, is := claims["customer"]; is {
		r.text("customer", plain)
	}
	r.words("features", 0, 64)
	if (found.exp >= 0 && found.exp <= found.nbf) || (found.exp < 0 && found.grace > 0) {
		r.fail("claims that do not fit together")
	}
	var unreadable error
	for _, it := range r.words("must", 0, 64) {
		if !known[it] {
			unreadable = errUnreadable
		} else if _, is := claims[it]; !is {
			r.fail("must")
		}
	}
	pools, _ := claims["pools"].(map[string]any)
	if len(pools) == 0 || len(pools) > 64 {
		r.fail("pools")
	}
	found.pools = map[string]pool{}
	for of, content := range pools {
		limits, ok := content.(map[string]any)
		if !ok || !name.MatchString(of) {
			r.fail("pools")
		}
		for member := range limits {
			if !poolMembers[member] {
				unreadable = errUnreadable
			}
		}
		found.pools[of] = r.pool(limits)
	}
	if r.err != nil {
		return nil, r.err
	}
	return found, unreadable
}

// Licence time: a clock that was set back makes no licence younger.
func licenceTime(all []verdict, now, built int64) int64 {
	for _, it := range all {
		if it.reason == "" {
			now = max(now, it.licence.iat)
		}
	}
	return max(now, built)
}

func installationHash(installation string) string {
	hash := sha256.Sum256([]byte("licet installation\x00" + installation))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// What is signed for a pool at a moment, a day around it; or why nothing is.
func signed(all []verdict, of string, now int64, built int64) (*terms, string) {
	var good []*licence
	for _, it := range all {
		if it.reason == "" {
			good = append(good, it.licence)
		}
	}
	now = licenceTime(all, now, built)
	is := false
	for _, it := range good {
		_, has := it.pools[of]
		is = is || has
	}
	if !is {
		return nil, whyNot(all, of, len(good) > 0)
	}
	moments := []int64{now - day, now + day}
	for _, it := range good {
		for _, moment := range []int64{it.nbf, it.exp + it.grace} {
			if now-day <= moment && moment <= now+day {
				moments = append(moments, moment)
			}
		}
	}
	var found *terms
	for _, moment := range moments {
		if at := given(good, of, moment); at != nil {
			found = easier(found, at)
		}
	}
	if found == nil {
		return nil, "licence_over"
	}
	return found, ""
}

func given(good []*licence, of string, moment int64) *terms {
	counting := map[string]*licence{}
	for _, it := range good {
		if it.nbf <= moment && (counting[it.id] == nil || counting[it.id].serial < it.serial) {
			counting[it.id] = it
		}
	}
	var found *terms
	for _, it := range counting {
		from, has := it.pools[of]
		if !has || from.seats+from.overdraft == 0 || (it.exp >= 0 && moment >= it.exp+it.grace) {
			continue
		}
		if found == nil {
			found = &terms{0, from.scopes, from.duplicates, from.hold, from.accessTTLMax}
		}
		found.Signed += from.seats + from.overdraft
		found.Scopes, found.Duplicates = both(found.Scopes, from.scopes), both(found.Duplicates, from.duplicates)
		found.Hold, found.AccessTTLMax = max(found.Hold, from.hold), min(found.AccessTTLMax, from.accessTTLMax)
	}
	if found != nil && (len(found.Scopes) == 0 || len(found.Duplicates) == 0) {
		return nil
	}
	return found
}

func easier(one, other *terms) *terms {
	if one == nil {
		return other
	}
	return &terms{
		max(one.Signed, other.Signed), union(one.Scopes, other.Scopes), union(one.Duplicates, other.Duplicates),
		min(one.Hold, other.Hold), max(one.AccessTTLMax, other.AccessTTLMax),
	}
}

func whyNot(all []verdict, of string, hasGood bool) string {
	order := []string{
		"not_this_installation", "updates_ended", "not_this_tenant", "not_this_product", "licence_unreadable",
		"unknown_vendor", "licence_over",
	}
	var meant, every []string
	for _, it := range all {
		if it.reason != "" {
			every = append(every, it.reason)
			if it.licence != nil {
				if _, is := it.licence.pools[of]; is {
					meant = append(meant, it.reason)
				}
			}
		}
	}
	if len(meant) == 0 && !hasGood {
		meant = every
	}
	for _, reason := range order {
		for _, it := range meant {
			if it == reason {
				return reason
			}
		}
	}
	if hasGood {
		return "wrong_pool"
	}
	return "licence_over"
}

// JSON without a duplicate member and with whole numbers only; Go takes the last of two, rounds, and replaces halves
// of characters.
func object(content []byte) (map[string]any, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	found, err := value(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("more behind it")
	}
	is, ok := found.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	return is, nil
}

func value(decoder *json.Decoder, level int) (any, error) {
	token, err := decoder.Token()
	if err != nil || level > levelsMax {
		return nil, errors.Join(err, errors.New("not JSON, or too many levels"))
	}
	switch token {
	case json.Delim('{'):
		return members(decoder, level)
	case json.Delim('['):
		return items(decoder, level)
	}
	if number, is := token.(json.Number); is {
		found, err := number.Int64()
		if err != nil || number.String() == "-0" || found > 1<<53-1 || found < 1-1<<53 {
			return nil, fmt.Errorf("%s is not whole", number)
		}
	}
	if text, is := token.(string); is && strings.ContainsRune(text, utf8.RuneError) {
		return nil, errors.New("half a character")
	}
	return token, nil
}

func members(decoder *json.Decoder, level int) (any, error) {
	found := map[string]any{}
	for decoder.More() {
		key, err := value(decoder, level+1)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if _, twice := found[name]; twice {
			return nil, errors.New("a duplicate member")
		}
		if found[name], err = value(decoder, level+1); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return found, err
}

func items(decoder *json.Decoder, level int) (any, error) {
	found := []any{}
	for decoder.More() {
		item, err := value(decoder, level+1)
		if err != nil {
			return nil, err
		}
		found = append(found, item)
	}
	_, err := decoder.Token()
	return found, err
}

// Reads members; what is wrong first is kept.
type reader struct {
	of  map[string]any
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
}

func (r *reader) text(of string, pattern *regexp.Regexp) string {
	found, ok := r.of[of].(string)
	if !ok || !pattern.MatchString(found) {
		r.fail(of)
	}
	return found
}

func (r *reader) number(of string, least, most int64, otherwise *int64) int64 {
	if _, is := r.of[of]; !is && otherwise != nil {
		return *otherwise
	}
	number, ok := r.of[of].(json.Number)
	found, err := number.Int64()
	if !ok || err != nil || found < least || found > most {
		r.fail(of)
	}
	return found
}

func (r *reader) words(of string, least, most int) []string {
	if _, is := r.of[of]; !is && least == 0 {
		return nil
	}
	list, ok := r.of[of].([]any)
	found := []string{}
	for _, it := range list {
		text, is := it.(string)
		ok = ok && is && word.MatchString(text)
		found = append(found, text)
	}
	if !ok || len(found) < least || len(found) > most || len(set(strings.Join(found, " "))) != len(found) {
		r.fail(of)
	}
	sort.Strings(found)
	return found
}

func (r *reader) pool(of map[string]any) pool {
	within := reader{of: of, err: r.err}
	none, hold, ttl := int64(0), int64(60), int64(600)
	found := pool{
		seats:        within.number("seats", 0, 1000000, nil),
		overdraft:    within.number("overdraft", 0, 1000000, &none),
		hold:         within.number("hold", 1, day, &hold),
		accessTTLMax: within.number("access_ttl_max", 60, day, &ttl),
		scopes:       within.words("scopes", 1, 32),
		duplicates:   []string{"client", "user"},
	}
	if _, is := of["duplicates"]; is {
		found.duplicates = within.words("duplicates", 1, 2)
		if len(both(found.duplicates, []string{"client", "user"})) < len(found.duplicates) {
			within.fail("duplicates")
		}
	}
	r.err = within.err
	return found
}

func set(words string) map[string]bool {
	found := map[string]bool{}
	for _, it := range strings.Fields(words) {
		found[it] = true
	}
	return found
}

func both(one, other []string) []string {
	found, in := []string{}, set(strings.Join(other, " "))
	for _, it := range one {
		if in[it] {
			found = append(found, it)
		}
	}
	return found
}

func union(one, other []string) []string {
	found, in := append([]string{}, one...), set(strings.Join(one, " "))
	for _, it := range other {
		if !in[it] {
			found = append(found, it)
		}
	}
	sort.Strings(found)
	return found
}

func publicKey(x, y string) *ecdsa.PublicKey {
	var at [2]*big.Int
	for i, it := range []string{x, y} {
		content, err := base64.RawURLEncoding.DecodeString(it)
		if err != nil {
			panic(err)
		}
		at[i] = new(big.Int).SetBytes(content)
	}
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: at[0], Y: at[1]}
}
