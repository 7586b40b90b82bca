// Package scenario is what the Go clients share: records, waits with a bound, and a runner that
// prints one line for each scenario, "PASS name" or "FAIL name: why".
package scenario

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

const (
	limit = 20 * time.Second
	big   = 1000000
)

var (
	run     = rand.Text()[:8]
	numbers = 0
	start   = time.UnixMilli(time.Now().Add(-time.Minute).UnixMilli())
)

// Header of a record; the value may be nil.
type Header struct {
	Key   string
	Value []byte
}

// Record as sent and as it has to come back. Nil and empty are two things.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Time       time.Time
}

// Scenario under its name.
type Scenario struct {
	Name string
	Run  func()
}

// Main runs all scenarios whose name begins as the second argument tells.
func Main(all []Scenario) {
	for _, one := range all {
		if len(os.Args) < 3 || strings.HasPrefix(one.Name, os.Args[2]) {
			runOne(one)
		}
	}
}

// Bootstrap is the first argument.
func Bootstrap() []string {
	return strings.Split(os.Args[1], ",")
}

func runOne(one Scenario) {
	defer func() {
		if why := recover(); why != nil {
			text := fmt.Sprintf("%v at %s", why, where())
			fmt.Printf("FAIL %s: %s\n", one.Name, strings.ReplaceAll(text, "\n", " "))
		}
	}()
	one.Run()
	fmt.Printf("PASS %s\n", one.Name)
}

func where() string {
	var lines []string
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, ".go:") && !strings.Contains(line, "/scenario.go:") {
			lines = append(lines, strings.Fields(line)[0])
		}
	}
	return strings.Join(lines[1:min(5, len(lines))], " ")
}

// Check ends the scenario when it does not hold.
func Check(holds bool, format string, args ...any) {
	if !holds {
		panic(fmt.Sprintf(format, args...))
	}
}

// Do ends the scenario with an error.
func Do(err error) {
	if err != nil {
		panic(err)
	}
}

// Got is a value without its error, which ends the scenario.
func Got[T any](value T, err error) T {
	Do(err)
	return value
}

// Expect checks that the error is this one.
func Expect(wanted, got error) {
	Check(errors.Is(got, wanted), "expected %v, got %v", wanted, got)
}

// Until waits until it holds.
func Until(what string, holds func() bool) {
	end := time.Now().Add(limit)
	for !holds() {
		Check(time.Now().Before(end), "%s did not come", what)
		time.Sleep(10 * time.Millisecond)
	}
}

// Settle after a change: here every broker knows it once it is answered, in Apache Kafka (against
// which the scenarios are checked) a little later.
func Settle() {
	if os.Getenv("MILLRACE_TEST_TARGET") == "kafka" {
		time.Sleep(500 * time.Millisecond)
	}
}

// At is a recent time, so many seconds after the others: old records might be deleted.
func At(seconds int) time.Time {
	return start.Add(time.Duration(seconds) * time.Second)
}

// Context that ends when no scenario should still wait.
func Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	time.AfterFunc(2*limit, cancel)
	return ctx
}

// Unique is a name that nobody has yet.
func Unique(name string) string {
	numbers++
	return fmt.Sprintf("%s-go-%s-%d", name, run, numbers)
}

// Samples have keys and values also empty and nil, headers also twice and nil, and one of 1 MB.
func Samples() []Record {
	base := time.UnixMilli(time.Now().UnixMilli() - 1000)
	var out []Record
	for i := range 40 {
		keys := [][]byte{nil, {}, fmt.Appendf(nil, "key-%d", i%7)}
		values := [][]byte{{}, bytes.Repeat([]byte("v"), i*50), random(i * 10)}
		rec := Record{Key: keys[min(i%5, 2)], Value: values[i%3],
			Time: base.Add(time.Duration(i) * time.Millisecond)}
		if i%11 == 10 {
			rec.Value = nil
		}
		headers := []Header{{"h", fmt.Append(nil, i)}, {"h", []byte("again")}, {"none", nil}}
		rec.Headers = headers[:i%4]
		out = append(out, rec)
	}
	value := append(random(big/2), bytes.Repeat([]byte("z"), big/2)...)
	return append(out, Record{Key: []byte("big"), Value: value, Time: base})
}

func random(size int) []byte {
	out := make([]byte, size)
	_, _ = rand.Read(out)
	return out
}

// Same checks that the records came back as they were sent.
func Same(got, sent []Record) {
	Check(len(got) == len(sent), "%d records instead of %d", len(got), len(sent))
	for i := range sent {
		Check(same(got[i].Key, sent[i].Key), "key of %d", i)
		Check(same(got[i].Value, sent[i].Value), "value of %d", i)
		Check(got[i].Time.Equal(sent[i].Time), "time of %d: %v", i, got[i].Time)
		Check(len(got[i].Headers) == len(sent[i].Headers), "headers of %d", i)
		for j, header := range sent[i].Headers {
			found := got[i].Headers[j]
			Check(found.Key == header.Key && same(found.Value, header.Value), "header %d of %d", j, i)
		}
	}
}

func same(a, b []byte) bool {
	return bytes.Equal(a, b) && (a == nil) == (b == nil)
}
