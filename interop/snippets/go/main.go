// Adds a job to a licensed API for each line of standard input, with golang.org/x/oauth2. Copy Session and
// what follows it. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	session := NewSession(os.Getenv("TENANT_URL"), os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		session.LogOff()
		os.Exit(1)
	}()
	err := work(session, os.Getenv("API_URL"))
	session.LogOff()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(session *Session, api string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		job, err := json.Marshal(map[string]string{"title": lines.Text()})
		if err != nil {
			return err
		}
		answer, err := session.Post(api, "application/json", job)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		fmt.Println(answer.StatusCode, string(body))
	}
	return lines.Err()
}

const patience = 5 * time.Minute // how long to wait for a seat

// Session is one session of one program, for all its goroutines: a token that is renewed in time, and a seat.
// clientcredentials alone begins a session at each renewal, and the last logoff then leaves the others on the
// seat; so here the refresh token is used, by an oauth2.Config.
type Session struct {
	tenant string
	grant  clientcredentials.Config
	renew  oauth2.Config
	turn   sync.Mutex // one asks for a token, the others wait for it
	token  *oauth2.Token
}

func NewSession(tenant, clientID, secret string) *Session {
	// In the body. Without a style, each refused request is sent twice, and counts as two failures.
	endpoint := oauth2.Endpoint{TokenURL: tenant + "/token", AuthStyle: oauth2.AuthStyleInParams}
	return &Session{
		tenant: tenant,
		grant: clientcredentials.Config{
			ClientID:     clientID,
			ClientSecret: secret,
			TokenURL:     endpoint.TokenURL,
			AuthStyle:    endpoint.AuthStyle,
			Scopes:       []string{"all"},
		},
		renew: oauth2.Config{ClientID: clientID, ClientSecret: secret, Endpoint: endpoint},
	}
}

// Post sends a request with the token, and once more with a new one if the API refuses it.
func (s *Session) Post(url, contentType string, body []byte) (*http.Response, error) {
	refused := ""
	for {
		token, err := s.accessToken(refused)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode != http.StatusUnauthorized || refused != "" {
			return answer, err
		}
		answer.Body.Close()
		refused = token
	}
}

// LogOff gives the seat back, which is else taken for 20 minutes more.
func (s *Session) LogOff() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.token == nil {
		return
	}
	form := url.Values{"client_id": {s.grant.ClientID}, "client_secret": {s.grant.ClientSecret}}
	form.Set("token", s.token.AccessToken)
	if s.token.RefreshToken != "" {
		form.Set("token", s.token.RefreshToken) // works also when the access token has expired
	}
	answer, err := http.PostForm(s.tenant+"/revoke", form) // RFC 7009: a revoked token ends its session
	s.token = nil
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, "The seat may still be taken.")
	}
}

func (s *Session) accessToken(refused string) (string, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.token.Valid() && s.token.AccessToken != refused { // Valid: until 10 seconds before the end
		return s.token.AccessToken, nil
	}
	if s.token != nil && s.token.RefreshToken != "" {
		held := &oauth2.Token{RefreshToken: s.token.RefreshToken}
		err := s.ask(func() (*oauth2.Token, error) {
			return s.renew.TokenSource(context.Background(), held).Token()
		})
		var fault *oauth2.RetrieveError
		if !errors.As(err, &fault) || fault.ErrorCode != "invalid_grant" {
			return s.held(err)
		}
		s.token = nil // the session has ended: begin another
	}
	return s.held(s.ask(func() (*oauth2.Token, error) { return s.grant.Token(context.Background()) }))
}

func (s *Session) ask(get func() (*oauth2.Token, error)) error {
	for waited := time.Duration(0); ; {
		token, err := get()
		if err == nil {
			s.token = token
			return nil
		}
		// No seat (400, 429 or 503), or a busy server (503).
		var fault *oauth2.RetrieveError
		if !errors.As(err, &fault) {
			return err
		}
		seconds, unknown := strconv.Atoi(fault.Response.Header.Get("Retry-After"))
		wait := time.Duration(seconds) * time.Second
		if unknown != nil || waited+wait > patience {
			return fmt.Errorf("%w: %s", err, fault.Body) // the JSON, with reason and retry_after
		}
		time.Sleep(wait)
		waited += wait
	}
}

func (s *Session) held(err error) (string, error) {
	if err != nil {
		return "", err
	}
	return s.token.AccessToken, nil
}
