package main

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	traceFile = streamsFolder + "/trace"
	// As sdk/src/resource-trace.ts has them.
	mostTraceBytes = 96 << 10
	mostSamples    = 512
	sampleEvery    = 40 * time.Millisecond
)

// sample is what the container had used at one moment, see sdk/src/resource-trace.ts.
type sample struct {
	At        int64 `json:"at"`
	CPU       int64 `json:"cpu"`
	Memory    int64 `json:"memory"`
	Read      int64 `json:"read"`
	Written   int64 `json:"written"`
	Processes int64 `json:"processes"`
}

// trace watches what the container uses, by its own control group.
type trace struct {
	source  string
	files   []*os.File
	begun   time.Time
	looks   int
	last    int64
	pending []sample
	samples []sample
	// Where it is written in the end: before the program begins, for then the carrier may write no more than that.
	page []byte
	file *os.File
	stop chan chan struct{}
}

// CPU time, memory, what of it could be dropped, bytes to and from devices, processes.
var controlFiles = map[string][]string{
	"cgroup-v1": {
		"cpuacct/cpuacct.usage", "memory/memory.usage_in_bytes", "memory/memory.stat",
		"blkio/blkio.throttle.io_service_bytes", "pids/pids.current",
	},
	"cgroup-v2": {"cpu.stat", "memory.current", "memory.stat", "io.stat", "pids.current"},
}

// watch begins to; nil where nothing can be seen or kept. A trace is no result, so whatever goes wrong with it is
// passed over.
func watch() *trace {
	for source, names := range controlFiles {
		var files []*os.File
		for _, name := range names {
			file, err := os.Open(path.Join("/sys/fs/cgroup", name))
			if err != nil {
				break
			}
			files = append(files, file)
		}
		if len(files) < len(names) {
			continue
		}
		file, err := os.OpenFile(traceFile, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil || file.Truncate(mostTraceBytes) != nil {
			return nil
		}
		page, err := syscall.Mmap(int(file.Fd()), 0, mostTraceBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			return nil
		}
		seen := &trace{source: source, files: files, begun: time.Now(), looks: 1, last: -1, page: page, file: file}
		seen.stop = make(chan chan struct{})
		go seen.follow()
		return seen
	}
	return nil
}

func (t *trace) follow() {
	ticks := time.NewTicker(sampleEvery)
	defer ticks.Stop()
	t.look()
	for {
		select {
		case <-ticks.C:
			t.look()
		case done := <-t.stop:
			t.look()
			close(done)
			return
		}
	}
}

// end takes a last look, and writes down what was seen.
func (t *trace) end() {
	if t == nil {
		return
	}
	done := make(chan struct{})
	t.stop <- done
	<-done
	if len(t.pending) > 0 {
		t.samples = append(t.samples, joined(t.pending))
	}
	text, err := json.Marshal(struct {
		Version int      `json:"version"`
		Source  string   `json:"source"`
		Every   int64    `json:"every"`
		Samples []sample `json:"samples"`
	}{1, t.source, sampleEvery.Milliseconds() * int64(t.looks), t.samples})
	if err != nil || len(t.samples) == 0 || len(text) > len(t.page) {
		text = nil
	}
	// The program may have made the file shorter.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = recover() }()
	copy(t.page, text)
	_ = t.file.Truncate(int64(len(text)))
}

func (t *trace) look() {
	now, ok := t.read()
	if !ok {
		return
	}
	if now.At <= t.last {
		return
	}
	t.last = now.At
	t.pending = append(t.pending, now)
	if len(t.pending) < t.looks {
		return
	}
	t.samples = append(t.samples, joined(t.pending))
	t.pending = nil
	if len(t.samples) < mostSamples-2 {
		return
	}
	// It is full: two neighbours become one.
	var half []sample
	for place := 1; place < len(t.samples); place += 2 {
		half = append(half, joined(t.samples[place-1:place+1]))
	}
	t.samples = half
	t.looks *= 2
}

// joined is several looks as one: counters as they were last, and the most of what goes up and down.
func joined(looks []sample) sample {
	whole := looks[len(looks)-1]
	for _, one := range looks {
		whole.Memory = max(whole.Memory, one.Memory)
		whole.Processes = max(whole.Processes, one.Processes)
	}
	return whole
}

var (
	oldDevices = regexp.MustCompile(`(?m)^\d+:\d+ (Read|Write) (\d+)$`)
	newDevices = regexp.MustCompile(` (r|w)bytes=(\d+)`)
)

func (t *trace) read() (sample, bool) {
	var texts []string
	piece := make([]byte, 16<<10)
	for _, file := range t.files {
		count, err := file.ReadAt(piece, 0)
		if count == 0 && err != nil && file != t.files[3] {
			return sample{}, false
		}
		texts = append(texts, string(piece[:count]))
	}
	now := sample{At: time.Since(t.begun).Milliseconds(), Memory: number(texts[1]), Processes: number(texts[4])}
	devices := newDevices
	if t.source == "cgroup-v1" {
		devices = oldDevices
		now.CPU = number(texts[0]) / 1000
		now.Memory -= entry(texts[2], "total_inactive_file")
	} else {
		now.CPU = entry(texts[0], "usage_usec")
		now.Memory -= entry(texts[2], "inactive_file")
	}
	now.Memory = max(0, now.Memory)
	for _, found := range devices.FindAllStringSubmatch(texts[3], -1) {
		if found[1] == "Read" || found[1] == "r" {
			now.Read += number(found[2])
		} else {
			now.Written += number(found[2])
		}
	}
	return now, true
}

var digits = regexp.MustCompile(`^\d+`)

func number(text string) int64 {
	value, _ := strconv.ParseInt(digits.FindString(text), 10, 64)
	return value
}

// entry is the number behind a name at the start of a line; 0 if it is not there.
func entry(text, name string) int64 {
	for _, line := range strings.Split(text, "\n") {
		if value, isIt := strings.CutPrefix(line, name+" "); isIt {
			return number(value)
		}
	}
	return 0
}
