package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/importer"
)

// load imports a file and shows on w how far it is: a bar on a terminal, a line
// for every tenth of the file elsewhere.
func load(ctx context.Context, im *importer.Importer, file *os.File, w io.Writer) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	show, terminal := everyTenth(w, info.Size()), isTerminal(w)
	if terminal {
		show = bar(w, info.Size())
	}
	start := time.Now()
	done, err := im.Run(ctx, file.Name(), file, show)
	if terminal {
		fmt.Fprintln(w)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "imported %s: %d lines, %d of them new, in %s\n",
		file.Name(), done.Lines, done.Created, time.Since(start).Round(time.Millisecond))
	return nil
}

func bar(w io.Writer, size int64) func(importer.Progress) {
	const width = 40
	return func(p importer.Progress) {
		full := int(width * min(p.Bytes, size) / max(size, 1))
		fmt.Fprintf(w, "\r[%s%s] %d lines", strings.Repeat("#", full), strings.Repeat(" ", width-full), p.Lines)
	}
}

func everyTenth(w io.Writer, size int64) func(importer.Progress) {
	var shown int64
	return func(p importer.Progress) {
		if tenth := 10 * min(p.Bytes, size) / max(size, 1); tenth > shown {
			shown = tenth
			fmt.Fprintf(w, "importing: %d %%, %d lines\n", 10*tenth, p.Lines)
		}
	}
}

// isTerminal reports whether somebody watches w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
