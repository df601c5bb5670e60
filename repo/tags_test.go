package repo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func newError[T any](t *testing.T, table string) error {
	t.Helper()
	_, err := repo.New[T](offline(t), table)
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

func TestTagMistakes(t *testing.T) {
	t.Parallel()
	type nested struct {
		City string `db:"city"`
	}
	type loop struct {
		ID   int `db:"id,key"`
		Next *loop
	}
	type hidden struct{ A int }
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"unknown option": {newError[struct {
			ID int `db:"id,kye"`
		}](t, "t"), []string{`repo: t (struct {`, `field ID: unknown option "kye"; did you mean "key"?`, "no field is tagged as the key"}},
		"strange option": {newError[struct {
			ID int `db:"id,key,omitempty"`
		}](t, "t"), []string{`unknown option "omitempty"; use key, auto, version, softdelete, touch, json`}},
		"no key": {newError[struct{ ID int }](t, "t"), []string{"no field is tagged as the key; write `db:\"id,key\"`"}},
		"no name": {newError[struct {
			UserID int `db:",key"`
		}](t, "t"), []string{"field UserID: the tag `db:\",key\"` names no column; write `db:\"user_id,key\"`"}},
		"unexported": {newError[struct {
			ID  int `db:"id,key"`
			age int `db:"age"`
		}](t, "t"), []string{"field age: is not exported"}},
		"duplicates": {newError[struct {
			ID     int   `db:"id,key"`
			Name   int   `db:"name"`
			Other  int   `db:"name"`
			V1     int   `db:"v1,version"`
			V2     int64 `db:"v2,version"`
			D1, D2 *time.Time
			S1     *time.Time `db:"s1,softdelete"`
			S2     *time.Time `db:"s2,softdelete"`
		}](t, "t"), []string{
			`fields Name and Other both map to the column "name"`, "fields V1 and V2 are both tagged version",
			"fields S1 and S2 are both tagged softdelete",
		}},
		"wrong types": {newError[struct {
			ID int       `db:"id,key"`
			V  time.Time `db:"v,version"`
			D  time.Time `db:"d,softdelete"`
		}](t, "t"), []string{"field V: a version is an integer, not time.Time", "field D: NULL means not deleted, which time.Time cannot hold; use *time.Time"}},
		"contradictions": {newError[struct {
			ID int `db:"id,key,version"`
			A  int `db:"a,auto,auto"`
			B  int `db:"b,auto,generated"`
		}](t, "t"), []string{"options key and version exclude each other", "option auto is given twice", "options auto and generated exclude each other"}},
		"nested options": {newError[struct {
			ID int    `db:"id,key"`
			A  nested `db:"a,auto"`
		}](t, "t"), []string{"field A: option auto does not apply to a struct of columns"}},
		"text as JSON": {newError[struct {
			ID int      `db:"id,key"`
			A  string   `db:"a,json"`
			B  *[]byte  `db:"b,json"`
			C  **string `db:"c,json"`
		}](t, "t"), []string{
			"field A: string is read as the text of the JSON itself, but would be written as a JSON string; drop the option for such text, or use json.RawMessage, or a string type of its own for JSON strings",
			"field B: *[]uint8 is read as the text", "field C: **string is read as the text",
		}},
		"dimensions": {newError[struct {
			ID int        `db:"id,key"`
			A  [][][]int  `db:"a"`
			B  *[][][]int `db:"b"`
			C  [][][]int  `db:"c,json"`
		}](t, "t"), []string{"field A: pgx reads an array of more than two dimensions wrongly into [][][]int; use pgtype.Array, or json", "field B: pgx reads"}},
		"recursive": {newError[loop](t, "t"), []string{"field Next: repo_test.loop contains itself"}},
		"embedded pointer to unexported": {newError[struct {
			ID int `db:"id,key"`
			*hidden
		}](t, "t"), []string{"a pointer to an unexported struct cannot be embedded"}},
		"embedded value": {newError[struct {
			ID int `db:"id,key"`
			time.Time
		}](t, "t"), []string{"an embedded time.Time has no column"}},
		"template in a name": {newError[struct {
			ID int `db:"{{schema}},key"`
		}](t, "t"), []string{`"{{schema}}" cannot name a column`}},
		"no struct":  {newError[int](t, "t"), []string{"int is not a struct of columns"}},
		"a value":    {newError[time.Time](t, "t"), []string{"time.Time is not a struct of columns"}},
		"table name": {newError[user](t, "app.users"), []string{`"app.users" does not name a table of the bound schema`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, c.err, c.want...)
		})
	}
	_, err := repo.New[user](nil, "users")
	wantError(t, err, "the DB is nil")
}

func TestColPanicsWithoutColumn(t *testing.T) {
	t.Parallel()
	outside := 0
	for name, f := range map[string]func(){
		"not mapped": func() { repo.Col(func(t *thing) *string { return &t.Local }) },
		"outside":    func() { repo.Col(func(*user) *int { return &outside }) },
		"nil":        func() { repo.Col(func(*user) *int { return nil }) },
		"a part":     func() { repo.Col(func(t *thing) *float64 { return &t.Place.Lat }) },
	} {
		func() {
			defer func() {
				text := fmt.Sprint(recover())
				if !strings.Contains(text, "repo: Col: the function does not return the address of a field of repo_test.") ||
					!strings.Contains(text, "columns: id, ") {
					t.Errorf("%s: panic %q", name, text)
				}
			}()
			f()
		}()
	}
}

func TestColFindsFields(t *testing.T) {
	t.Parallel()
	type deep struct{ X, Y int }
	type mid struct {
		Deep *deep `db:"deep"`
	}
	type row struct {
		First struct{ ID int } `db:"first"`
		Mid   mid              `db:"mid"`
		Plain int
	}
	for want, got := range map[string]string{
		"first.id":   repo.Col(func(r *row) *int { return &r.First.ID }).Name(),
		"mid.deep.y": repo.Col(func(r *row) *int { return &r.Mid.Deep.Y }).Name(),
		"plain":      repo.Col(func(r *row) *int { return &r.Plain }).Name(),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestColByName(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, user{Email: "a@x", Age: 3}, user{Email: "b@x", Age: 5})
	_, err := repo.ColByName[user]("emial")
	wantError(t, err, `repo: user has no column "emial" (columns: id, email, age,`, `did you mean "email"?`)
	_, err = repo.ColByName[user]("age; drop table users")
	wantError(t, err, "has no column")

	age, err := repo.ColByName[user]("age")
	check(t, err)
	all, err := users.Where(age.In(3, 5), age.Gt(2)).OrderBy(age.Desc()).All(t.Context())
	if check(t, err); len(all) != 2 || all[0].Age != 5 {
		t.Errorf("got %+v", all)
	}
	_, err = users.Where(age.Eq("3")).All(t.Context())
	wantError(t, err, "repo: users: column age wants int, not string")
	_, err = users.Where(age.In(3, int64(4))).All(t.Context())
	wantError(t, err, "repo: users: column age wants int, not int64")
	_, err = users.Where(age.Eq(nil)).All(t.Context())
	wantError(t, err, "repo: users: column age wants int, not nil")
	nick, err := repo.ColByName[user]("nick")
	check(t, err)
	n, err := users.Where(nick.Eq(nil)).Count(t.Context())
	if check(t, err); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// The names that SQL makes difficult.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	db := open(t, `create schema "Select"`)
	sel, err := db.Pool().Manager("Select")
	check(t, err)
	run(t, sel, `create table {{tables.order}} ("From" int primary key, "a""b" text, "user" int default 7)`)
	type order struct {
		From int    `db:"From,key"`
		AB   string `db:"a\"b"`
		User int    `db:"user,auto"`
	}
	orders := newRepo[order](t, sel, "order")
	ab := repo.Col(func(o *order) *string { return &o.AB })
	row := insert(t, orders, order{From: 1, AB: "x"})[0]
	row.AB = "y"
	check(t, orders.Update(t.Context(), &row))
	rows := make([]order, 10)
	for i := range rows {
		rows[i] = order{From: i + 10, AB: "z"}
	}
	check(t, orders.InsertAll(t.Context(), rows))
	_, err = orders.UpsertAll(t.Context(), rows)
	check(t, err)
	_, err = orders.Upsert(t.Context(), &row)
	check(t, err)
	page, err := orders.Where(ab.In("y", "z")).OrderBy(ab.Desc()).Limit(3).Page(t.Context())
	if check(t, err); len(page.Rows) != 3 || page.Rows[2].User != 7 {
		t.Errorf("got %+v", page)
	}
	all, err := orders.SelectSQL(t.Context(), `select {{columns}} from {{table}} where "a""b" = $1 and '{{{{columns}}' <> ''`, "y")
	if check(t, err); len(all) != 1 {
		t.Errorf("got %+v", all)
	}
	check(t, orders.Delete(t.Context(), 1))
}

// A module's repository keeps its schema in the transaction of another one.
func TestInKeepsTheSchema(t *testing.T) {
	t.Parallel()
	db := open(t, pointTable)
	other, err := db.Pool().Manager("other")
	check(t, err)
	check(t, other.EnsureSchema(t.Context()))
	run(t, other, pointTable)
	points, others := newRepo[point](t, db, "points"), newRepo[point](t, other, "points")
	check(t, db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		insert(t, points.In(tx), point{A: 1})
		rows := make([]point, 20)
		for i := range rows {
			rows[i].A = i + 1
		}
		return others.In(tx).InsertAll(t.Context(), rows)
	}))
	n, err := points.Where().Count(t.Context())
	if check(t, err); n != 1 {
		t.Errorf("%d points", n)
	}
	n, err = others.Where().Count(t.Context())
	if check(t, err); n != 20 {
		t.Errorf("%d other points", n)
	}
}
