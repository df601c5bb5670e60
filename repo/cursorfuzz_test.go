package repo_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// FuzzCursorValues puts anything where a cursor has its values: the page is the one
// behind these values, or there is an error.
func FuzzCursorValues(f *testing.F) {
	db := open(f, pointTable, `insert into {{tables.points}} select i % 10, 'b' || i % 13, i % 7, '' from generate_series(1, 60) i on conflict do nothing`)
	points := newRepo[point](f, db, "points")
	q := points.Where().OrderBy(pointRank.Desc(), pointB.Asc()).Limit(5) // and a, which completes the key
	all, err := points.Where().All(f.Context())
	check(f, err)
	slices.SortFunc(all, inOrder)
	first, err := q.Page(f.Context())
	check(f, err)
	sign, err := base64.RawURLEncoding.DecodeString(first.Next)
	check(f, err)
	for _, seed := range []string{
		`[3,"b4",5]`, `[6,"",-1]`, `[-9,"",0]`, `[2147483648,"b",1]`, `[1,"b\u0000",1]`, `[1,"\ud800",3]`, `[3,"b4",99999999999]`, `[1e1,"b",1]`,
		`["3","b",1]`, `[null,"b",1]`, `[3,"b4"]`, `[3,"b4",5,6]`, `[3,"b4",5] `, `{}`, `[3,"'; drop table points; --",5]`, ``, "[3,\"\xff\",1]", `[3,"b4",1.5]`,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, values string, backwards bool) {
		t.Parallel()
		cursor := base64.RawURLEncoding.EncodeToString(append(sign[:8:8], values...))
		at := q.After(cursor)
		if backwards {
			at = q.Before(cursor)
		}
		page, err := at.Page(t.Context())
		if err != nil {
			if !errors.Is(err, repo.ErrCursor) && !errors.Is(err, pgdbm.ErrInvalid) {
				t.Fatalf("%q: %v", values, err)
			}
			return
		}
		var (
			parts []json.RawMessage
			from  point
		)
		check(t, json.Unmarshal([]byte(values), &parts))
		for i, part := range []any{&from.Rank, &from.B, &from.A} {
			check(t, json.Unmarshal(parts[i], part))
		}
		var want []point
		for _, p := range all {
			if c := inOrder(p, from); !backwards && c > 0 || backwards && c < 0 {
				want = append(want, p)
			}
		}
		if backwards {
			want = want[max(0, len(want)-5):]
		} else {
			want = want[:min(5, len(want))]
		}
		if !slices.Equal(page.Rows, want) && len(page.Rows)+len(want) > 0 {
			t.Fatalf("%q: %v, want %v", values, page.Rows, want)
		}
	})
}

func inOrder(p, q point) int {
	return cmp.Or(cmp.Compare(q.Rank, p.Rank), cmp.Compare(p.B, q.B), cmp.Compare(p.A, q.A))
}

// FuzzCursorTypes does the same with columns of every type: whatever stands in for a
// value, there is a page or an error that says so.
func FuzzCursorTypes(f *testing.F) {
	db := open(f, sampleTable)
	r := newRepo[sample](f, db, "samples")
	insert(f, r, samples()...)
	names := []string{
		"float", "real", "at", "wall", "day", "cents", "secret", "addr", "net", "took", "big", "whole", "exact", "flag", "text", "any_case", "mood", "raw", "uid",
	}
	for i, name := range names {
		page, err := r.Where().OrderBy(byName[sample](f, name).Asc()).Limit(1).Page(f.Context())
		check(f, err)
		cursor, err := base64.RawURLEncoding.DecodeString(page.Next)
		check(f, err)
		f.Add(uint8(i), string(cursor[8:]))
		for _, seed := range []string{
			`["NaN",1]`, `[{"bytes":"/w"},1]`, `[{"bytes":"/w=="},1]`, `[{"bytes":null},1]`, `[["s","x"],1]`, `[["t",[1,2,3]],1]`, `[["s",null],1]`, `[["",1],1]`,
			`[[9223372036854775807,-9223372036854775808,9223372036854775807],1]`, `[[1,2],1]`, `[[0,0,86400],1]`, `["AQI=",1]`, `["10.0.0.1",1]`, `[[1,2,3,4],1]`,
		} {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, column uint8, values string) {
		t.Parallel()
		q := r.Where().OrderBy(byName[sample](t, names[int(column)%len(names)]).Asc()).Limit(1)
		first, err := q.Page(t.Context())
		check(t, err)
		sign, err := base64.RawURLEncoding.DecodeString(first.Next)
		check(t, err)
		page, err := q.After(base64.RawURLEncoding.EncodeToString(append(sign[:8:8], values...))).Page(t.Context())
		switch {
		case err != nil && !errors.Is(err, repo.ErrCursor) && !errors.Is(err, pgdbm.ErrInvalid):
			t.Fatalf("%q: %v", values, err)
		case err == nil && len(page.Rows) > 0 && page.Prev == "":
			t.Fatalf("%q: a page behind a cursor has no way back", values)
		}
	})
}
