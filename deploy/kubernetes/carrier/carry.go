package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Deeper than this nothing is permitted, and the agent says so; no need to go there.
const deepest = 70

// take unpacks a tar of exactly so many bytes, and lets the task begin only if they are the bytes that were meant.
func take(from io.Reader, size int64, digest string) error {
	// A try that broke off may have left something.
	if err := empty(inputFolder); err != nil {
		return err
	}
	hash := sha256.New()
	counted := io.TeeReader(io.LimitReader(from, size), hash)
	entries := tar.NewReader(counted)
	for {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("the input broke off: %w", err)
		}
		if err := unpack(header, entries); err != nil {
			return err
		}
	}
	// What follows the last entry belongs to the tar, too.
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return err
	}
	if found := hex.EncodeToString(hash.Sum(nil)); found != digest {
		return fmt.Errorf("the input has digest %s, expected %s", found, digest)
	}
	return os.WriteFile(readyFile, nil, 0o444)
}

func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		if err := os.RemoveAll(path.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	return err
}

func unpack(header *tar.Header, content io.Reader) error {
	root, err := os.OpenRoot(inputFolder)
	if err != nil {
		return err
	}
	defer root.Close()
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		if name == "." {
			return nil
		}
		return root.Mkdir(name, 0o755)
	case tar.TypeReg:
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
		if err != nil {
			return err
		}
		if _, err := io.Copy(file, content); err != nil {
			return err
		}
		return file.Close()
	}
	return fmt.Errorf("the input has an entry of kind %q", header.Typeflag)
}

// give packs a folder as it lies there, whatever is in it, and says on another stream how many bytes that were and
// their digest. Nothing is followed; who reads it decides what of it is taken.
func give(folder, name string, to, told io.Writer) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	hash := sha256.New()
	counted := &counter{to: io.MultiWriter(to, hash)}
	archive := tar.NewWriter(counted)
	if err := pack(archive, root, name, 0); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(told, "%d %s\n", counted.bytes, hex.EncodeToString(hash.Sum(nil)))
	return err
}

type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(piece []byte) (int, error) {
	n, err := c.to.Write(piece)
	c.bytes += int64(n)
	return n, err
}

func pack(archive *tar.Writer, folder *os.Root, prefix string, depth int) error {
	opened, err := folder.Open(".")
	if errors.Is(err, fs.ErrPermission) {
		// The program's own modes are no reason not to read what it left.
		if err = folder.Chmod(".", 0o700); err == nil {
			opened, err = folder.Open(".")
		}
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	for {
		// Not all at once: there may be more of them than fit into memory.
		names, err := opened.Readdirnames(256)
		for _, name := range names {
			if err := packOne(archive, folder, name, prefix, depth); err != nil {
				return fmt.Errorf("%q: %w", prefix+"/"+name, err)
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

func packOne(archive *tar.Writer, folder *os.Root, name, prefix string, depth int) error {
	info, err := folder.Lstat(name)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: prefix + "/" + name, Mode: 0o644}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Name += "/"
		header.Typeflag = tar.TypeDir
		if err := archive.WriteHeader(header); err != nil || depth >= deepest {
			return err
		}
		if mode.Perm()&0o700 != 0o700 {
			if err := folder.Chmod(name, 0o700); err != nil {
				return err
			}
		}
		below, err := folder.OpenRoot(name)
		if err != nil {
			return err
		}
		defer below.Close()
		return pack(archive, below, prefix+"/"+name, depth+1)
	case mode&fs.ModeSocket != 0:
		return nil
	case mode&fs.ModeSymlink != 0:
		header.Typeflag, header.Linkname = tar.TypeSymlink, "."
		return archive.WriteHeader(header)
	case !mode.IsRegular():
		header.Typeflag = tar.TypeFifo
		return archive.WriteHeader(header)
	}
	if info.Sys().(*syscall.Stat_t).Nlink > 1 {
		header.Typeflag, header.Linkname = tar.TypeLink, "."
		return archive.WriteHeader(header)
	}
	if info.Mode().Perm()&0o400 == 0 {
		if err := folder.Chmod(name, 0o600); err != nil {
			return err
		}
	}
	file, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.CopyN(archive, file, header.Size)
	return err
}
