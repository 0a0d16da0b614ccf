package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Kubernetes shows what is in this file as the container's last message.
const reportFile = "/dev/termination-log"

// report is how a task ended: as one of the first two, or, if the program cannot be blamed, by a failure.
type report struct {
	Code         *int   `json:"code,omitempty"`
	Limit        string `json:"limit,omitempty"`
	Failed       string `json:"failed,omitempty"`
	Milliseconds int64  `json:"milliseconds"`
}

// run runs a program as the first process of a container does: with all others gone when it ends, its streams kept apart
// and within their limit, and nothing of the cluster in its environment.
func run(args []string) error {
	options := flag.NewFlagSet("run", flag.ContinueOnError)
	seconds := options.Float64("seconds", 0, "most wall-clock time")
	output := options.Int64("output", 0, "most bytes of both streams")
	largest := options.Uint64("file", 0, "most bytes of one file")
	if err := options.Parse(args); err != nil {
		return err
	}
	program := options.Args()
	if len(program) == 0 {
		return errors.New("no program")
	}
	if os.Getpid() != 1 {
		return errors.New("only the first process of a container runs a task: it kills all others")
	}
	told, err := os.OpenFile(reportFile, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	// The program runs as the same user: it may not look into this one.
	const setDumpable = 4
	syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
	debug.SetMemoryLimit(16 << 20)
	// All signals are caught and passed over, for they may be the program's. Whoever ends the pod kills in the end; and
	// what was ignored here would be ignored by the program, too.
	signal.Notify(make(chan os.Signal, 1))
	threads()

	seen := watch()
	begun := time.Now()
	found := supervise(program, time.Duration(*seconds*float64(time.Second)), *output, *largest)
	found.Milliseconds = time.Since(begun).Milliseconds()
	seen.end()
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	// The program may have written to it.
	if err := told.Truncate(0); err != nil {
		return err
	}
	if _, err := told.WriteAt(text, 0); err != nil {
		return err
	}
	return told.Close()
}

func failed(err error) report { return report{Failed: err.Error()} }

func supervise(program []string, most time.Duration, output int64, largest uint64) report {
	environment := withoutCluster(os.Environ())
	var pumps sync.WaitGroup
	var written atomic.Int64
	over := make(chan struct{}, 1)
	broken := make(chan error, 2)
	ends := make([]uintptr, 3)
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return failed(err)
	}
	ends[0] = nothing.Fd()
	var theirs []*os.File
	for place, name := range []string{"stdout", "stderr"} {
		kept, err := os.OpenFile(streamsFolder+"/"+name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return failed(err)
		}
		read, write, err := os.Pipe()
		if err != nil {
			return failed(err)
		}
		theirs = append(theirs, write)
		ends[place+1] = write.Fd()
		pumps.Add(1)
		go func() {
			defer pumps.Done()
			if err := pump(read, kept, output, &written, over); err != nil {
				broken <- err
			}
		}()
	}
	if err := limitFiles(largest); err != nil {
		return failed(err)
	}
	main, err := begin(program, &syscall.ProcAttr{Env: environment, Files: ends})
	if err != nil {
		// As containers of an engine have it, see agents/executor/docker/exit.ts.
		words := err.Error()
		fmt.Fprintf(theirs[1], "[FATAL tini] exec %s failed: %s\n", program[0], strings.ToUpper(words[:1])+words[1:])
	}
	for _, file := range append(theirs, nothing) {
		file.Close()
	}
	if err != nil {
		pumps.Wait()
		code := 1
		switch err {
		case syscall.ENOENT:
			code = 127
		case syscall.EACCES:
			code = 126
		case syscall.ENOMEM, syscall.EAGAIN:
			return failed(err)
		}
		return report{Code: &code}
	}
	ended := make(chan syscall.WaitStatus, 1)
	go reap(main, ended)
	found := end(ended, over, broken, time.After(most))
	endAll(&pumps)
	select {
	case <-over:
		// It came over the limit with its last words.
		found = report{Limit: "output"}
	case err := <-broken:
		found = failed(err)
	default:
	}
	return found
}

// begin looks for a program and begins it, as execvp does.
func begin(program []string, how *syscall.ProcAttr) (int, error) {
	paths := []string{program[0]}
	if !strings.Contains(program[0], "/") {
		paths = nil
		search, isSet := os.LookupEnv("PATH")
		if !isSet {
			search = "/bin:/usr/bin"
		}
		for _, folder := range strings.Split(search, ":") {
			if folder == "" {
				folder = "."
			}
			paths = append(paths, folder+"/"+program[0])
		}
	}
	var found error = syscall.ENOENT
	for _, path := range paths {
		pid, err := syscall.ForkExec(path, program, how)
		switch err {
		case nil:
			return pid, nil
		case syscall.ENOEXEC:
			return syscall.ForkExec("/bin/sh", append([]string{"/bin/sh", path}, program[1:]...), how)
		case syscall.EACCES:
			found = err
		case syscall.ENOENT, syscall.ENOTDIR:
			if len(paths) == 1 {
				return 0, err
			}
		default:
			return 0, err
		}
	}
	return 0, found
}

func end(ended <-chan syscall.WaitStatus, over <-chan struct{}, broken <-chan error, late <-chan time.Time) report {
	select {
	case status := <-ended:
		code := status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
		return report{Code: &code}
	case <-over:
		return report{Limit: "output"}
	case <-late:
		return report{Limit: "time"}
	case err := <-broken:
		return failed(err)
	}
}

// endAll kills whoever is left, until nobody holds a stream any more.
func endAll(pumps *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		pumps.Wait()
		close(done)
	}()
	for {
		syscall.Kill(-1, syscall.SIGKILL)
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// threads begins more of them than will be needed: the program may take all that the pod may have.
func threads() {
	runtime.GOMAXPROCS(1)
	var begun sync.WaitGroup
	for range 16 {
		begun.Add(1)
		go func() {
			defer begun.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			syscall.Nanosleep(&syscall.Timespec{Nsec: 20_000_000}, nil)
		}()
	}
	begun.Wait()
}

// reap waits for everybody, as the first process of a container must, and tells how the program ended.
func reap(main int, ended chan<- syscall.WaitStatus) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if pid == main {
			ended <- status
		}
	}
}

// pump keeps what one stream says until both have said too much; then it reads on, so that the program is not held up.
func pump(from, to *os.File, most int64, written *atomic.Int64, over chan<- struct{}) error {
	defer to.Close()
	piece := make([]byte, 32<<10)
	for {
		count, err := from.Read(piece)
		if count > 0 {
			if written.Add(int64(count)) > most {
				tell(over)
			} else if _, err := to.Write(piece[:count]); errors.Is(err, syscall.ENOSPC) {
				// There is room for all that it may say: it has filled that otherwise.
				written.Add(most)
				tell(over)
			} else if err != nil {
				return fmt.Errorf("a stream cannot be kept: %w", err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func tell(over chan<- struct{}) {
	select {
	case over <- struct{}{}:
	default:
		// Somebody has.
	}
}

func limitFiles(largest uint64) error {
	// The carrier's own files are no longer than the program's may be.
	for resource, value := range map[int]uint64{
		syscall.RLIMIT_CORE:   0,
		syscall.RLIMIT_FSIZE:  largest,
		syscall.RLIMIT_NOFILE: 4096,
	} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return err
		}
	}
	return nil
}

// withoutCluster leaves out what Kubernetes puts into every environment, which differs between clusters.
func withoutCluster(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "KUBERNETES_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// rehearse is all that is run where only the place is tried.
func rehearse() error {
	return os.WriteFile(reportFile, []byte(`{"code":0,"milliseconds":0}`), 0o644)
}
