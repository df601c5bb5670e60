package main

import (
	"context"
	"strings"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// withGorm is gorm as its guide on performance has it: prepared statements, and no
// transaction around single writes.
type withGorm struct{ db *gorm.DB }

func openGorm(_ context.Context, dsn string) (Library, error) {
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{
		PrepareStmt: true, SkipDefaultTransaction: true, Logger: logger.Discard, CreateBatchSize: 1000,
	})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pooled(pool)
	return withGorm{db}, nil
}

func (withGorm) Name() string { return "gorm" }

func (l withGorm) Close() {
	if pool, err := l.db.DB(); err == nil {
		_ = pool.Close()
	}
}

func (l withGorm) Insert(ctx context.Context, a *Account) error {
	return l.db.WithContext(ctx).Clauses(clause.Returning{}).Create(a).Error
}

func (l withGorm) Get(ctx context.Context, id int64) (a Account, err error) {
	return a, l.db.WithContext(ctx).Take(&a, id).Error
}

func (l withGorm) List(ctx context.Context, n int) (list []Account, err error) {
	return list, l.db.WithContext(ctx).Order("id").Limit(n).Find(&list).Error
}

func (l withGorm) Filter(ctx context.Context, f Filter) (list []Account, err error) {
	q := l.db.WithContext(ctx)
	if f.City != "" {
		q = q.Where("city = ?", f.City)
	}
	if f.MinAge > 0 {
		q = q.Where("age >= ?", f.MinAge)
	}
	if f.Active != nil {
		q = q.Where("active = ?", *f.Active)
	}
	return list, q.Order("id").Limit(20).Find(&list).Error
}

func (l withGorm) Update(ctx context.Context, a *Account) error {
	return l.db.WithContext(ctx).Model(a).Clauses(clause.Returning{}).Select("*").Omit("id", "created_at").Updates(a).Error
}

func (l withGorm) Patch(ctx context.Context, id int64, nick string, older int) error {
	return l.db.WithContext(ctx).Model(&Account{}).Where("id = ?", id).
		Updates(map[string]any{"nick": nick, "age": gorm.Expr("age + ?", older)}).Error
}

var gormOverwrite = clause.OnConflict{
	Columns:   []clause.Column{{Name: "email"}},
	DoUpdates: clause.AssignmentColumns(strings.Split(strings.TrimPrefix(settable, "email, "), ", ")),
}

func (l withGorm) Upsert(ctx context.Context, a *Account) error {
	return l.db.WithContext(ctx).Clauses(gormOverwrite, clause.Returning{}).Create(a).Error
}

func (l withGorm) InsertAll(ctx context.Context, rows []Account) error {
	return l.db.WithContext(ctx).Clauses(clause.Returning{}).Create(&rows).Error
}

func (l withGorm) Copy(ctx context.Context, rows []Account) error {
	return l.db.WithContext(ctx).Create(&rows).Error // it reads the keys back whether one wants them or not
}

func (l withGorm) UpsertAll(ctx context.Context, rows []Account) error {
	return l.db.WithContext(ctx).Clauses(gormOverwrite).Create(&rows).Error
}

func (l withGorm) Delete(ctx context.Context, id int64) error {
	return l.db.WithContext(ctx).Delete(&Account{}, id).Error
}

func (l withGorm) Three(ctx context.Context, id int64) error {
	return l.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var a Account
		if err := tx.Take(&a, id).Error; err != nil {
			return err
		}
		if err := tx.Model(&Account{}).Where("id = ?", id).Update("age", gorm.Expr("age + ?", 1)).Error; err != nil {
			return err
		}
		a.ID, a.CreatedAt, a.Email = 0, time.Time{}, a.Email+".copy"
		return tx.Clauses(clause.Returning{}).Create(&a).Error
	})
}

func (l withGorm) Count(ctx context.Context, age int) (n int64, err error) {
	return n, l.db.WithContext(ctx).Model(&Account{}).Where("age >= ?", age).Count(&n).Error
}

func (l withGorm) Exists(ctx context.Context, email string) (ok bool, err error) {
	return ok, l.db.WithContext(ctx).Raw("select exists (select from "+accounts+" where email = ?)", email).Scan(&ok).Error
}

func (l withGorm) Page(ctx context.Context, after *Account, n int) (list []Account, err error) {
	q := l.db.WithContext(ctx)
	if after != nil {
		q = q.Where("(age, id) > (?, ?)", after.Age, after.ID)
	}
	return list, q.Order("age, id").Limit(n).Find(&list).Error
}
