package repo_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/repo"
)

// grown is a condition and the arguments that it must have, in this order.
type grown struct {
	cond repo.Condition[post]
	args []any
}

// grow makes conditions of bytes: most put one on a stack, some join those that are
// there. n makes the arguments different from each other.
func grow(program []byte) grown {
	var (
		stack []grown
		n     int32
	)
	push := func(cond repo.Condition[post], args ...any) { stack = append(stack, grown{cond, args}) }
	pop := func(count int) (conds []repo.Condition[post], args []any) {
		count = min(count, len(stack))
		for _, g := range stack[len(stack)-count:] {
			conds, args = append(conds, g.cond), append(args, g.args...)
		}
		stack = stack[:len(stack)-count]
		return conds, args
	}
	for _, b := range program {
		n++
		text, number := fmt.Sprint("t", n), int(n)
		switch many := int(b / 32); b % 32 {
		case 0:
			push(postID.Eq(number), number)
		case 1:
			push(postTitle.Ne(text), text)
		case 2:
			push(postID.Between(number, -number), number, -number)
		case 3:
			push(postID.In(number, 7), []int{number, 7})
		case 4:
			push(repo.Not(postTitle.NotIn(text)), []string{text})
		case 5:
			push(postSub.IsDistinctFrom(&text), &text)
		case 6:
			push(postSub.IsNotDistinctFrom(nil))
		case 7:
			push(postSub.IsNull())
		case 8:
			push(repo.Like(postTitle, text), text)
		case 9:
			push(repo.HasPrefix(postSub, text+"%"), text+`\%%`)
		case 10:
			push(repo.ContainsAny(postTags, text, "x"), []string{text, "x"})
		case 11:
			push(repo.ContainsAll(postMoods, "ok"), []string{"ok"})
		case 12:
			push(repo.RangeOverlaps(postSpan, span(0, n)), span(0, n))
		case 13:
			r := span(n, n)
			r.UpperType = pgtype.Inclusive
			push(repo.RangeContains(postSpan, int4(n)), r)
		case 14:
			push(repo.JSONContains(postSettings, map[string]int{"a": number}), fmt.Sprintf(`{"a":%d}`, n))
		case 15:
			push(repo.JSONHasKeys(postOld, text), []string{text})
		case 16:
			push(repo.JSONPath(postSettings, "$.a", nil), "$.a")
		case 17:
			vars, _ := json.Marshal(map[string]any{"v": number})
			push(repo.JSONPath(postSettings, "$.a ? (@ > $v)", map[string]any{"v": number}), "$.a ? (@ > $v)", string(vars))
		case 18:
			push(repo.Search(postWords, "english", text), text)
		case 19:
			push(repo.SQL[post]("id = $2 or title = $1 -- $9", text, number), text, number)
		case 20:
			push(repo.SQL[post]("id in (select p.id from {{tables.posts}} p where p.id < $1) or id > $1 or title = '$7 ('", number), number)
		case 21:
			push(postID.In(), []int{})
		case 22, 23, 24, 25:
			conds, args := pop(many)
			push(repo.And(conds...), args...)
		case 26, 27, 28, 29:
			conds, args := pop(many)
			push(repo.Or(conds...), args...)
		default:
			if conds, args := pop(1); len(conds) == 1 {
				push(repo.Not(conds[0]), args...)
			}
		}
	}
	conds, args := pop(len(stack))
	return grown{repo.And(conds...), args}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// FuzzConditions: whatever conditions are made of, the server parses the statement,
// its placeholders are numbered from 1 without a gap, and the arguments are in order.
func FuzzConditions(f *testing.F) {
	db := open(f, postTable)
	posts := newRepo[post](f, db, "posts")
	conn, err := db.Acquire(f.Context())
	check(f, err)
	f.Cleanup(conn.Release)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(all)
	f.Add([]byte{0, 1, 22 + 64, 5, 26 + 64, 31, 19, 2, 22 + 96})
	f.Add([]byte{19, 19, 19, 26 + 96, 20, 31, 31, 31})
	f.Fuzz(func(t *testing.T, program []byte) { // not in parallel: there is one connection
		if len(program) > 500 {
			return
		}
		g := grow(program)
		sql, args, err := repo.Statement(posts.Where(g.cond).OrderBy(postID.Asc()))
		check(t, err)
		if len(args) != len(g.args) || len(args) > 0 && !reflect.DeepEqual(args, g.args) {
			t.Fatalf("%s\narguments %v, want %v", sql, args, g.args)
		}
		used := map[int]bool{}
		for _, match := range placeholder.FindAllStringSubmatch(regexp.MustCompile(`'[^']*'`).ReplaceAllString(sql, ""), -1) {
			n, err := strconv.Atoi(match[1])
			check(t, err)
			used[n] = true
		}
		for n := range len(args) {
			if !used[n+1] {
				t.Fatalf("%s\nhas no $%d of %d", sql, n+1, len(args))
			}
		}
		if len(used) != len(args) {
			t.Fatalf("%s\n%d placeholders, %d arguments", sql, len(used), len(args))
		}
		text, err := db.Expand(sql)
		check(t, err)
		description, err := conn.Conn().PgConn().Prepare(t.Context(), "", text, nil)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if len(description.ParamOIDs) != len(args) {
			t.Fatalf("%s\nthe server finds %d placeholders, not %d", text, len(description.ParamOIDs), len(args))
		}
	})
}
