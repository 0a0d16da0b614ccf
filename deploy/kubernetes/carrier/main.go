// Command carrier is what Surety has beside and around a task in a pod, see docs/kubernetes.md: it brings the input in,
// runs the program as its first process would be run by a container engine, holds the output, and gives it away.
//
//	carrier wait                    put the carrier where the task finds it, then wait for the input
//	carrier take BYTES SHA256       unpack a tar from standard input into /in
//	carrier run OPTIONS -- PROGRAM  run a task
//	carrier rehearse                run nothing, and say that this went well
//	carrier hold                    hold the volumes
//	carrier give out|streams        pack one of them as a tar to standard output
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Where the pod's volumes are mounted, see agents/executor/kubernetes/manifest.ts.
const (
	inputFolder   = "/in"
	outputFolder  = "/out"
	streamsFolder = "/streams"
	ownFolder     = "/surety"
	readyFile     = ownFolder + "/ready"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(args []string) error {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch {
	case name == "wait" && len(args) == 0:
		return wait()
	case name == "take" && len(args) == 2:
		size, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		return take(os.Stdin, size, args[1])
	case name == "run":
		return run(args)
	case name == "rehearse" && len(args) == 0:
		return rehearse()
	case name == "hold" && len(args) == 0:
		hold()
		return nil
	case name == "give" && len(args) == 1 && args[0] == "out":
		return give(outputFolder, "out", os.Stdout, os.Stderr)
	case name == "give" && len(args) == 1 && args[0] == "streams":
		return give(streamsFolder, "out", os.Stdout, os.Stderr)
	}
	return fmt.Errorf("usage: carrier wait | take BYTES SHA256 | run OPTIONS -- PROGRAM | rehearse | hold | give out|streams")
}

// The program's own image may have nothing in it to run, so the carrier goes with it.
func wait() error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	copied, err := os.OpenFile(ownFolder+"/carrier", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o555)
	if err != nil {
		return err
	}
	if _, err := io.Copy(copied, self); err != nil {
		return err
	}
	if err := copied.Close(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for {
		if _, err := os.Stat(readyFile); err == nil {
			return nil
		}
		select {
		case <-stop:
			return fmt.Errorf("stopped before the input came")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func hold() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
