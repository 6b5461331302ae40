// Runs what make interop asks for. An API needs licence.go, counting.go and gate.go, and nothing of this file.
//
//	go run . vectors ../../../docs/reference/guard-vectors.json
//	go run . serve

package main

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"time"
)

type request struct {
	Now    int64          `json:"now"`
	Claims map[string]any `json:"claims"`
	Method string         `json:"method"`
	Needs  []string       `json:"needs"`
	result
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

func main() {
	switch os.Args[1] {
	case "vectors":
		compare(os.Args[2])
	default:
		serve()
	}
}

// Compares each answer of the guard with the test vectors.
func compare(file string) {
	content, err := os.ReadFile(file)
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
	expect("installation", all.Place.InstallationHash, installationHash(all.Place.Installation))
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
		now := int64(0)
		g := &guard{at: all.Place, builtAt: day.Unix(), seconds: func() float64 { return float64(now) }}
		g.licences.Store(&coverage{judged(it.Licences)})
		for number, of := range it.Requests {
			now = of.Now
			found := g.count(of.Claims, of.Method, of.Needs, of.Now)
			expect(fmt.Sprintf("%s, request %d", it.Name, number+1), of.result, found)
		}
	}
	fmt.Printf("%d answers, %d wrong\n", count, wrong)
	if wrong > 0 {
		os.Exit(1)
	}
}
