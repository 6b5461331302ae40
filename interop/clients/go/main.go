// golang.org/x/oauth2 and its clientcredentials, over the suite's protocol (interop/README.md).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// members are what a request has, and an answer.
type members map[string]any

// unsupported is what the library has no function for.
type unsupported string

func (why unsupported) Error() string { return string(why) }

type client struct {
	conf   clientcredentials.Config
	api    string
	logoff string
	token  *oauth2.Token
	http   *http.Client
}

var styles = map[string]oauth2.AuthStyle{
	"default": oauth2.AuthStyleAutoDetect,
	"basic":   oauth2.AuthStyleInHeader,
	"body":    oauth2.AuthStyleInParams,
}

func main() {
	var held client
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request members
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			panic(err)
		}
		answer, err := held.do(request)
		if err != nil {
			answer = seen(err)
		} else {
			answer["ok"] = true
		}
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}

func (c *client) do(request members) (members, error) {
	switch request["do"] {
	case "hello":
		return hello(), nil
	case "open":
		return members{}, c.open(request)
	case "token":
		token, err := c.conf.Token(context.Background())
		return c.hold(token, err)
	case "refresh":
		conf := oauth2.Config{ClientID: c.conf.ClientID, ClientSecret: c.conf.ClientSecret}
		conf.Endpoint = oauth2.Endpoint{TokenURL: c.conf.TokenURL, AuthStyle: c.conf.AuthStyle}
		token, err := conf.TokenSource(context.Background(), &oauth2.Token{RefreshToken: c.token.RefreshToken}).Token()
		return c.hold(token, err)
	case "age":
		aged := *c.token
		aged.Expiry = aged.Expiry.Add(-time.Duration(request["seconds"].(float64)) * time.Second)
		_, err := c.hold(&aged, nil)
		return members{}, err
	case "call":
		return status(c.http.Get(c.api))
	case "logoff":
		return status(c.http.Post(c.logoff, "", nil))
	}
	return nil, unsupported(fmt.Sprint("has no ", request["do"]))
}

func hello() members {
	version := ""
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "golang.org/x/oauth2" {
			version = strings.TrimPrefix(module.Version, "v")
		}
	}
	return members{"library": "golang.org/x/oauth2", "version": version, "runtime": runtime.Version()}
}

func (c *client) open(request members) error {
	style, known := styles[request["auth"].(string)]
	if !known {
		return unsupported("signs nothing")
	}
	*c = client{
		conf: clientcredentials.Config{
			ClientID:     request["client_id"].(string),
			ClientSecret: request["client_secret"].(string),
			TokenURL:     request["token_url"].(string),
			AuthStyle:    style,
		},
		api:    request["api_url"].(string),
		logoff: request["logoff_url"].(string),
	}
	if scope, asked := request["scope"].(string); asked {
		c.conf.Scopes = []string{scope}
	}
	return nil
}

// hold has the library go on with a token, as it does with one that it got itself.
func (c *client) hold(token *oauth2.Token, err error) (members, error) {
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	c.token = token
	c.http = oauth2.NewClient(ctx, oauth2.ReuseTokenSource(token, c.conf.TokenSource(ctx)))
	return members{
		"access_token":  token.AccessToken,
		"refresh_token": token.RefreshToken,
		"expires_in":    token.ExpiresIn,
		"scope":         token.Extra("scope"),
	}, nil
}

func status(answer *http.Response, err error) (members, error) {
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	return members{"status": answer.StatusCode}, nil
}

// seen is what a caller can read from an error.
func seen(err error) members {
	var why unsupported
	if errors.As(err, &why) {
		return members{"ok": false, "unsupported": string(why)}
	}
	answer := members{"ok": false, "raised": fmt.Sprintf("%T", err), "text": err.Error()}
	var fault *oauth2.RetrieveError
	if !errors.As(err, &fault) {
		return answer
	}
	answer["raised"] = "RetrieveError"
	answer["code"] = fault.ErrorCode
	answer["status"] = fault.Response.StatusCode
	var body members
	if json.Unmarshal(fault.Body, &body) == nil && body["reason"] != nil {
		answer["reason"] = body["reason"]
		answer["retry_after"] = body["retry_after"]
		answer["by_hand"] = true
	}
	return answer
}
