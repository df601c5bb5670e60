package repo_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// post has a column for every operator that is a function.
type post struct {
	ID       int                       `db:"id,key"`
	Title    string                    `db:"title"`
	Sub      *string                   `db:"sub"`
	Tags     []string                  `db:"tags"`
	Moods    []mood                    `db:"moods"`
	Span     pgtype.Range[pgtype.Int4] `db:"span"`
	Settings map[string]any            `db:"settings,json"`
	Old      []string                  `db:"old,json"` // of type json, not jsonb
	Words    pgtype.TSVector           `db:"words,auto"`
	Data     []byte                    `db:"data"`
}

const postTable = `
	create type {{schema}}.mood as enum ('sad', 'ok', 'happy');
	create table {{tables.posts}} (
		id int primary key, title text not null, sub varchar(50), tags text[], moods {{schema}}.mood[], span int4range,
		settings jsonb, old json, words tsvector not null generated always as (to_tsvector('english', title)) stored, data bytea
	)`

var (
	postID       = repo.Col(func(p *post) *int { return &p.ID })
	postTitle    = repo.Col(func(p *post) *string { return &p.Title })
	postSub      = repo.Col(func(p *post) **string { return &p.Sub })
	postTags     = repo.Col(func(p *post) *[]string { return &p.Tags })
	postMoods    = repo.Col(func(p *post) *[]mood { return &p.Moods })
	postSpan     = repo.Col(func(p *post) *pgtype.Range[pgtype.Int4] { return &p.Span })
	postSettings = repo.Col(func(p *post) *map[string]any { return &p.Settings })
	postOld      = repo.Col(func(p *post) *[]string { return &p.Old })
	postWords    = repo.Col(func(p *post) *pgtype.TSVector { return &p.Words })
	postData     = repo.Col(func(p *post) *[]byte { return &p.Data })
)

func int4(n int32) pgtype.Int4 { return pgtype.Int4{Int32: n, Valid: true} }

func span(from, to int32) pgtype.Range[pgtype.Int4] {
	return pgtype.Range[pgtype.Int4]{Lower: int4(from), Upper: int4(to), LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true}
}

func TestOperatorsInEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := openMode(t, mode, postTable)
			posts := newRepo[post](t, db, "posts")
			insert(t, posts,
				post{
					ID: 1, Title: "The quick foxes", Sub: new("50% off_"), Tags: []string{"go", "sql"}, Moods: []mood{"ok"}, Span: span(1, 10),
					Settings: map[string]any{"theme": "dark", "limits": []int{1, 20}}, Old: []string{"a", "b"},
				},
				post{ID: 2, Title: `back\slash_100%`, Tags: []string{"go"}, Moods: []mood{"ok", "sad"}, Span: span(20, 30), Settings: map[string]any{"theme": nil}},
				post{ID: 3, Title: "lazy dogs"},
			)
			for name, c := range map[string]struct {
				cond repo.Condition[post]
				want []int
			}{
				"prefix":                  {repo.HasPrefix(postTitle, "The q"), []int{1}},
				"prefix of wildcards":     {repo.HasPrefix(postTitle, "%"), nil},
				"prefix of a pointer":     {repo.HasPrefix(postSub, "50%"), []int{1}},
				"contains percent":        {repo.Contains(postTitle, "100%"), []int{2}},
				"contains underscore":     {repo.Contains(postSub, "_"), []int{1}},
				"contains backslash":      {repo.Contains(postTitle, `\`), []int{2}},
				"contains everything":     {repo.Contains(postTitle, ""), []int{1, 2, 3}},
				"escaped in any case":     {repo.ILike(postTitle, "%"+repo.EscapeLike("SLASH_1")+"%"), []int{2}},
				"distinct":                {postSub.IsDistinctFrom(new("50% off_")), []int{2, 3}},
				"distinct from nil":       {postSub.IsDistinctFrom(nil), []int{1}},
				"not distinct":            {postSub.IsNotDistinctFrom(new("50% off_")), []int{1}},
				"not distinct from nil":   {postSub.IsNotDistinctFrom(nil), []int{2, 3}},
				"not (not distinct)":      {repo.Not(postSub.IsNotDistinctFrom(new("50% off_"))), []int{2, 3}},
				"all of one":              {repo.ContainsAll(postTags, "go"), []int{1, 2}},
				"all of two":              {repo.ContainsAll(postTags, "sql", "go"), []int{1}},
				"all of nothing":          {repo.ContainsAll(postTags), []int{1, 2}},
				"any":                     {repo.ContainsAny(postTags, "sql", "x"), []int{1}},
				"any of nothing":          {repo.ContainsAny(postTags), nil},
				"enums":                   {repo.ContainsAny(postMoods, "sad"), []int{2}},
				"enums all":               {repo.ContainsAll(postMoods, mood("ok")), []int{1, 2}},
				"range contains":          {repo.RangeContains(postSpan, int4(9)), []int{1}},
				"range ends":              {repo.RangeContains(postSpan, int4(10)), nil},
				"range overlaps":          {repo.RangeOverlaps(postSpan, span(5, 21)), []int{1, 2}},
				"range within":            {repo.RangeWithin(postSpan, span(0, 20)), []int{1}},
				"json contains":           {repo.JSONContains(postSettings, map[string]any{"theme": "dark"}), []int{1}},
				"json contains in arrays": {repo.JSONContains(postSettings, map[string]any{"limits": []int{20}}), []int{1}},
				"json contains null":      {repo.JSONContains(postSettings, map[string]any{"theme": nil}), []int{2}},
				"json, not jsonb":         {repo.JSONContains(postOld, []string{"b"}), []int{1}},
				"json key":                {repo.JSONHasKeys(postSettings, "theme"), []int{1, 2}},
				"json keys":               {repo.JSONHasKeys(postSettings, "theme", "limits"), []int{1}},
				"json strings":            {repo.JSONHasKeys(postOld, "a", "b"), []int{1}},
				"json path":               {repo.JSONPath(postSettings, `$.limits[*] ? (@ > 10)`, nil), []int{1}},
				"json path with vars":     {repo.JSONPath(postSettings, `$.limits[*] ? (@ > $max)`, map[string]any{"max": 10}), []int{1}},
				"json path finds nothing": {repo.JSONPath(postSettings, `$.limits[*] ? (@ > $max)`, map[string]any{"max": 20}), nil},
				"json path, strict":       {repo.JSONPath(postSettings, `strict $.limits[*] ? (@ > 10)`, nil), []int{1}},
				"json path, strict, vars": {repo.JSONPath(postSettings, `strict $.limits[*] ? (@ > $max)`, map[string]any{"max": 10}), []int{1}},
				"json path, odd items":    {repo.JSONPath(postSettings, `$.theme.double() ? (@ > $max)`, map[string]any{"max": 10}), nil},
				"search":                  {repo.Search(postTitle, "english", "fox"), []int{1}},
				"search, not stemmed":     {repo.Search(postTitle, "simple", "fox"), nil},
				"search by schema":        {repo.Search(postTitle, "pg_catalog.english", `"quick fox" or dog`), []int{1, 3}},
				"search a tsvector":       {repo.Search(postWords, "english", "dog -fox"), []int{3}},
				"search with odd input":   {repo.Search(postTitle, "english", `'"(&! fox`), []int{1}},
				"operators among others":  {repo.And(repo.JSONPath(postSettings, "$.limits", map[string]any{}), postID.Eq(1), repo.Search(postTitle, "english", "fox"), postTitle.Ne("")), []int{1}},
				"operators negated":       {repo.Not(repo.Or(repo.ContainsAny(postTags, "sql"), postID.Eq(3))), []int{2}},
			} {
				rows, err := posts.Where(c.cond).OrderBy(postID.Asc()).All(t.Context())
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				var got []int
				for _, p := range rows {
					got = append(got, p.ID)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: %v, want %v", name, got, c.want)
				}
			}
		})
	}
}

func TestConditionsKeepTheirValues(t *testing.T) {
	t.Parallel()
	db := open(t, postTable)
	posts := newRepo[post](t, db, "posts")
	insert(t, posts, post{ID: 1, Data: []byte("abc"), Tags: []string{"go"}})
	data, tags, moods := []byte("abc"), []string{"go"}, []mood{"ok"}
	conds := map[string]repo.Condition[post]{
		"bytes": postData.Eq(data), "bytes up to": postData.Le(data), "bytes between": postData.Between(data, data), "bytes in": postData.In(data, nil), "bytes not in": repo.Not(postData.NotIn(data)),
		"array": postTags.Eq(tags), "all": repo.ContainsAll(postTags, tags...), "no enums": postMoods.IsDistinctFrom(moods), "by name": byName[post](t, "data").Eq(data),
	}
	copy(data, "xyz")
	tags[0], moods[0] = "sql", "sad"
	for name, cond := range conds {
		if n, err := posts.Where(cond).Count(t.Context()); err != nil || n != 1 {
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
	}
	for name, cond := range map[string]repo.Condition[post]{"empty bytes": postData.Eq([]byte{}), "empty array": postTags.Eq([]string{})} {
		if n, err := posts.Where(repo.Not(cond)).Count(t.Context()); err != nil || n != 1 { // and not NULL
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
	}
}

func TestOperatorMisuse(t *testing.T) {
	t.Parallel()
	db := open(t, postTable)
	posts := newRepo[post](t, db, "posts")
	var (
		zeroText  repo.Column[post, string]
		zeroArray repo.Column[post, []string]
		zeroRange repo.Column[post, pgtype.Range[pgtype.Int4]]
	)
	for name, c := range map[string]struct {
		cond repo.Condition[post]
		want string
	}{
		"in of enum arrays":    {postMoods.In([]mood{"ok"}), "In and NotIn: column moods ([]repo_test.mood) is an array, and any($1) looks into arrays; write repo.Or(column.Eq(a), column.Eq(b)), or repo.Not of that"},
		"not in of arrays":     {postTags.NotIn([]string{"go"}), "In and NotIn: column tags ([]string) is an array"},
		"array of bytes":       {repo.ContainsAll(postData, 1), "ContainsAll: column data ([]uint8) is no array"},
		"array in JSON":        {repo.ContainsAny(postOld, "a"), "ContainsAny: column old is JSON; use JSONContains"},
		"JSON of no JSON":      {repo.JSONContains(postTitle, 1), "JSONContains: column title (string) is not tagged json"},
		"keys of no JSON":      {repo.JSONHasKeys(postID, "x"), "JSONHasKeys: column id (int) is not tagged json"},
		"path in no JSON":      {repo.JSONPath(postID, "$", nil), "JSONPath: column id (int) is not tagged json"},
		"not to be JSON":       {repo.JSONContains(postOld, func() {}), "JSONContains: column old: json: unsupported type"},
		"no variables":         {repo.JSONPath(postOld, "$", map[string]any{"f": func() {}}), "JSONPath: column old: json: unsupported type"},
		"search configuration": {repo.Search(postTitle, "english'--", "x"), `Search: "english'--" does not name a text search configuration; write "english" or "simple"`},
		"zero column":          {repo.Search(zeroText, "english", "x"), "a zero Column"},
		"zero prefix":          {repo.HasPrefix(zeroText, "x"), "a zero Column"},
		"zero array":           {repo.ContainsAll(zeroArray, "x"), "a zero Column"},
		"zero range":           {repo.RangeContains(zeroRange, int4(1)), "a zero Column"},
		"zero JSON":            {repo.JSONHasKeys(zeroText, "x"), "a zero Column"},
		"zero distinct":        {zeroText.IsDistinctFrom("x"), "a zero Column"},
	} {
		_, err := posts.Where(c.cond).All(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "repo: posts: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	_, err := posts.Where(repo.JSONPath(postSettings, "$.", nil)).All(t.Context())
	wantError(t, err, "repo: posts: ", "jsonpath")
	insert(t, posts, post{ID: 1, Settings: map[string]any{"n": 1}})
	_, err = posts.Where(repo.JSONPath(postSettings, "$.n ? (@ > $max)", map[string]any{"min": 1})).All(t.Context())
	wantError(t, err, "repo: posts: ", `could not find jsonpath variable "max"`)
	_, err = posts.Where(repo.Search(postTitle, "klingon", "x")).All(t.Context())
	if !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("an unknown configuration: %v, want ErrUndefined", err)
	}
}

// An operator is of use only if an index serves it.
func TestOperatorsUseIndexes(t *testing.T) {
	t.Parallel()
	db := open(t, postTable)
	posts := newRepo[post](t, db, "posts")
	run(t, db, `
		insert into {{tables.posts}} (id, title, tags, span, settings)
			select n, 'title ' || n, array['t' || n], int4range(n, n + 2), jsonb_build_object('n', n) from generate_series(1, 5000) n;
		create index posts_tags on {{tables.posts}} using gin (tags);
		create index posts_span on {{tables.posts}} using gist (span);
		create index posts_settings on {{tables.posts}} using gin (settings);
		create index posts_title on {{tables.posts}} using gin (to_tsvector('english', title));
		create index posts_words on {{tables.posts}} using gin (words);
		create index posts_like on {{tables.posts}} (title text_pattern_ops);
		analyze {{tables.posts}}`)
	for index, cond := range map[string]repo.Condition[post]{
		"posts_tags":     repo.ContainsAll(postTags, "t7"),
		"posts_span":     repo.RangeContains(postSpan, int4(7)),
		"posts_settings": repo.JSONContains(postSettings, map[string]any{"n": 7}),
		"posts_title":    repo.Search(postTitle, "english", "4711"),
		"posts_words":    repo.Search(postWords, "english", "4711"),
		"posts_like":     repo.HasPrefix(postTitle, "title 4711"),
	} {
		plan := explain(t, db, posts.Where(cond))
		if !strings.Contains(plan, index) {
			t.Errorf("%s is not used:\n%s", index, plan)
		}
	}
}

// explain returns the plan of a query.
func explain[T any](tb testing.TB, db pgdbm.DB, q repo.Query[T]) string {
	tb.Helper()
	sql, args, err := repo.Statement(q)
	check(tb, err)
	lines, err := pgdbm.FetchAll[string](tb.Context(), db, "explain "+sql, args...)
	check(tb, err)
	return strings.Join(lines, "\n")
}
