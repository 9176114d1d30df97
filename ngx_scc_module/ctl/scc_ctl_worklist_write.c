
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_csv.h"
#include "scc_ctl_roster.h"
#include "scc_ctl_worklist.h"
#include "scc_quest.h"
#include "scc_time.h"


#define SCC_CTL_WORK_ZONE  (9 * 3600000)    /* of those who read it */


static void scc_ctl_work_csv(scc_buf_t *b, const scc_ctl_work_t *w);
static void scc_ctl_work_feature(scc_buf_t *b, const scc_ctl_work_t *w);
static void scc_ctl_work_member(scc_buf_t *b, const char *key, scc_str_t s);
static void scc_ctl_work_head(scc_buf_t *b, const scc_ctl_worklist_t *wl);
static void scc_ctl_work_photos(scc_buf_t *b, const scc_ctl_worklist_t *wl);
static void scc_ctl_work_indoors(scc_buf_t *b,
    const scc_ctl_worklist_t *wl);
static void scc_ctl_work_quest(scc_buf_t *b, const scc_ctl_worklist_t *wl,
    size_t from, size_t to);
static void scc_ctl_work_place(scc_buf_t *b, const scc_ctl_work_t *w);
static void scc_ctl_work_cell(scc_buf_t *b, const char *class, scc_str_t s);
static void scc_ctl_work_reasons(scc_buf_t *b, scc_str_t reasons);
static void scc_ctl_work_lines(scc_buf_t *b, scc_str_t text);
static void scc_ctl_work_time(scc_buf_t *b, scc_str_t utc);
static void scc_ctl_work_number(scc_buf_t *b, const char *before,
    uint64_t n, const char *after);


static const struct {
    scc_str_t   code;
    const char *label;
} scc_ctl_work_labels[] = {
    { scc_string("record_missing"), "기록 없음" },
    { scc_string("stairs_unknown"), "계단 정보 모름" },
    { scc_string("first_floor_unknown"), "1층 여부 모름" },
    { scc_string("building_missing"), "건물 정보 없음" },
    { scc_string("level_unknown"), "접근레벨 계산 불가" },
    { scc_string("confidence_low"), "복구 기록 확실하지 않음" },
    { scc_string("confidence_unknown"), "복구 기록 확실성 모름" },
    { scc_string("building_confidence_low"),
      "건물 복구 기록 확실하지 않음" },
    { scc_string("photo_missing"), "사진 없음" },
};


/* Boxes to tick: what a record asks for. */

static const char  scc_ctl_work_form[] =
    "<td class=form>계단 □0 □1 □2~5 □6+<br>"
    "1칸이면 □엄지 반마디 □한마디 □이상<br>"
    "경사로 □있음 □없음 · 1층 □예 □아니오<br>"
    "건물 입구 계단 □0 □1 □2~5 □6+<br>"
    "엘리베이터 □있음 □없음</td>";

static const char  scc_ctl_work_style[] =
    "@page{size:A4;margin:12mm}"
    "*{box-sizing:border-box}"
    "body{font:9.5pt/1.35 'Noto Sans KR','Noto Sans CJK KR',"
    "'Apple SD Gothic Neo','Malgun Gothic',sans-serif;margin:0;color:#111}"
    "h1{font-size:16pt;margin:0 0 2mm}h2{font-size:12.5pt;margin:6mm 0 1mm}"
    "p{margin:0 0 2mm}table{border-collapse:collapse;width:100%;"
    "table-layout:fixed}"
    "th,td{border:.3mm solid #888;padding:1mm 1.4mm;vertical-align:top;"
    "text-align:left;overflow-wrap:anywhere}"
    "th{background:#eee}thead{display:table-header-group}"
    "tr{break-inside:avoid}.quest{break-before:page}"
    ".nr{width:11mm;text-align:right;white-space:nowrap}.why{width:36mm}"
    ".form{width:58mm}td.form{font-size:8.5pt;white-space:nowrap}"
    ".who{width:36mm}.key{width:52mm}.done{width:12mm}"
    ".small{color:#555;font-size:8pt}@media screen{body{margin:8mm}}"
    ".sign span{display:inline-block;min-width:55mm;"
    "border-bottom:.3mm solid #888;margin-right:6mm}";


void
scc_ctl_worklist_csv(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    size_t  i;

    scc_buf_text(b, SCC_CTL_BOM "work,quest,nr,what,id,name,address,lng,lat,"
                    "reasons,photos,taken_at,uploader,cluster,image_type,"
                    "together,near\r\n");

    for (i = 0; i < wl->n; i++) {
        scc_ctl_work_csv(b, &wl->list[i]);
    }
}


void
scc_ctl_worklist_geojson(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    size_t  i;

    scc_buf_text(b, "{\"type\":\"FeatureCollection\",\"timeStamp\":\"");
    scc_buf_text(b, wl->at);
    scc_buf_text(b, "\",\"features\":[");

    for (i = 0; i < wl->n; i++) {
        scc_buf_text(b, i > 0 ? ",\n" : "\n");
        scc_ctl_work_feature(b, &wl->list[i]);
    }

    scc_buf_text(b, "\n]}\n");
}


void
scc_ctl_worklist_html(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    size_t  i, end;

    scc_ctl_work_head(b, wl);
    scc_ctl_work_photos(b, wl);
    scc_ctl_work_indoors(b, wl);

    for (i = wl->indoor; i < wl->n; i = end) {
        end = i + SCC_CTL_QUEST < wl->n ? i + SCC_CTL_QUEST : wl->n;
        scc_ctl_work_quest(b, wl, i, end);
    }

    scc_buf_text(b, "</body></html>\n");
}


static void
scc_ctl_work_csv(scc_buf_t *b, const scc_ctl_work_t *w)
{
    size_t            i;
    const scc_str_t  *cells[] = {
        &w->reasons, &w->photos, &w->taken, &w->uploader, &w->cluster,
        &w->type, &w->together, &w->near
    };

    scc_buf_text(b, w->indoor ? "indoor," : "field,");

    if (w->quest > 0) {
        scc_buf_uint(b, w->quest);
    }

    scc_ctl_work_number(b, ",", w->nr, w->photo ? ",photo," : ",place,");
    scc_csv_cell(b, w->id);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, w->name);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, w->address);
    scc_buf_byte(b, ',');

    if (w->located) {
        scc_buf_e7(b, w->lon);
        scc_buf_byte(b, ',');
        scc_buf_e7(b, w->lat);

    } else {
        scc_buf_byte(b, ',');
    }

    for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        scc_buf_byte(b, ',');
        scc_csv_cell(b, *cells[i]);
    }

    scc_buf_text(b, "\r\n");
}


static void
scc_ctl_work_feature(scc_buf_t *b, const scc_ctl_work_t *w)
{
    scc_str_t  what;

    what.data = (const uint8_t *) (w->photo ? "photo" : "place");
    what.len = 5;

    scc_buf_text(b, "{\"type\":\"Feature\",\"geometry\":");

    if (w->located) {
        scc_buf_text(b, "{\"type\":\"Point\",\"coordinates\":[");
        scc_buf_e7(b, w->lon);
        scc_buf_byte(b, ',');
        scc_buf_e7(b, w->lat);
        scc_buf_text(b, "]}");

    } else {
        scc_buf_text(b, "null");
    }

    scc_buf_text(b, ",\"properties\":{\"work\":");
    scc_buf_text(b, w->indoor ? "\"indoor\"" : "\"field\"");
    scc_buf_text(b, ",\"quest\":");

    if (w->quest > 0) {
        scc_buf_uint(b, w->quest);

    } else {
        scc_buf_text(b, "null");
    }

    scc_ctl_work_number(b, ",\"nr\":", w->nr, "");
    scc_ctl_work_member(b, ",\"what\":", what);
    scc_ctl_work_member(b, ",\"id\":", w->id);
    scc_ctl_work_member(b, ",\"name\":", w->name);
    scc_ctl_work_member(b, ",\"address\":", w->address);
    scc_ctl_work_member(b, ",\"reasons\":", w->reasons);
    scc_ctl_work_member(b, ",\"photos\":", w->photos);

    if (w->photo) {
        scc_ctl_work_member(b, ",\"takenAt\":", w->taken);
        scc_ctl_work_member(b, ",\"uploader\":", w->uploader);
        scc_ctl_work_member(b, ",\"cluster\":", w->cluster);
        scc_ctl_work_member(b, ",\"imageType\":", w->type);
        scc_ctl_work_member(b, ",\"together\":", w->together);
        scc_buf_text(b, ",\"near\":");
        scc_buf_str(b, w->near_json);
    }

    scc_buf_text(b, "}}");
}


static void
scc_ctl_work_member(scc_buf_t *b, const char *key, scc_str_t s)
{
    scc_buf_text(b, key);

    if (s.len > 0) {
        scc_buf_json(b, s);

    } else {
        scc_buf_text(b, "null");
    }
}


static void
scc_ctl_work_head(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    scc_str_t  at;

    at.data = (const uint8_t *) wl->at;
    at.len = strlen(wl->at);

    scc_buf_text(b, "<!DOCTYPE html>\n<html lang=ko><head>"
                    "<meta charset=utf-8><meta name=viewport "
                    "content=\"width=device-width\">"
                    "<title>계단정복지도 복구 작업 목록</title><style>");
    scc_buf_text(b, scc_ctl_work_style);
    scc_buf_text(b, "</style></head><body>\n<h1>계단정복지도 복구 작업 목록"
                    "</h1>\n<p class=small>기준 시각 ");
    scc_ctl_work_time(b, at);
    scc_ctl_work_number(b, " · 실내 작업 ", wl->indoor, "건");
    scc_ctl_work_number(b, " · 현장 방문 ", wl->n - wl->indoor, "곳");
    scc_ctl_work_number(b, " · 퀘스트 ", wl->quests, "개</p>\n");
}


static void
scc_ctl_work_photos(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    size_t                 i;
    const scc_ctl_work_t  *w;

    if (wl->n == 0 || !wl->list[0].photo) {
        return;
    }

    scc_buf_text(b, "<h2>1. 실내 작업: 기록이 없는 사진</h2>\n"
                    "<p>사진을 보고 어느 장소인지, 계단과 경사로가 어떤지 "
                    "적습니다. 같은 묶음은 한 사람이 이어서 올린 "
                    "사진입니다.</p>\n<table><thead><tr><th class=nr>번호"
                    "</th><th class=key>사진</th><th class=who>올린 사람, "
                    "시각, 묶음</th><th>후보 장소</th><th class=done>완료"
                    "</th></tr></thead><tbody>\n");

    for (i = 0; i < wl->indoor && wl->list[i].photo; i++) {
        w = &wl->list[i];

        scc_ctl_work_number(b, "<tr><td class=nr>", w->nr, "</td>");
        scc_ctl_work_cell(b, "key", w->photos);
        scc_buf_text(b, "<td class=who>");
        scc_buf_html(b, w->uploader);
        scc_buf_text(b, "<br>");
        scc_ctl_work_time(b, w->taken);
        scc_buf_text(b, "<br>묶음 ");
        scc_buf_html(b, w->cluster);
        scc_buf_text(b, "</td><td>");

        if (w->name.len > 0 || w->id.len > 0) {
            scc_buf_text(b, "<b>");
            scc_buf_html(b, w->name);
            scc_buf_text(b, "</b> (");
            scc_buf_html(b, w->id);
            scc_buf_byte(b, ')');
        }

        if (w->near.len > 0) {
            scc_buf_text(b, "가까운 곳: ");
            scc_buf_html(b, w->near);
        }

        if (w->together.len > 0) {
            scc_buf_text(b, w->near.len > 0 ? "<br>같은 묶음: "
                                            : "같은 묶음: ");
            scc_buf_html(b, w->together);
        }

        scc_buf_text(b, "</td><td class=done>□</td></tr>\n");
    }

    scc_buf_text(b, "</tbody></table>\n");
}


static void
scc_ctl_work_indoors(scc_buf_t *b, const scc_ctl_worklist_t *wl)
{
    size_t                 i;
    const scc_ctl_work_t  *w;

    for (i = 0; i < wl->indoor && wl->list[i].photo; i++) {
        /* void */
    }

    if (i == wl->indoor) {
        return;
    }

    scc_buf_text(b, "<h2>2. 실내 작업: 사진으로 채울 수 있는 기록</h2>\n"
                    "<table><thead><tr><th class=nr>번호</th><th>장소</th>"
                    "<th class=why>빠진 것</th><th class=key>사진</th>"
                    "<th class=done>완료</th></tr></thead><tbody>\n");

    for (/* void */; i < wl->indoor; i++) {
        w = &wl->list[i];

        scc_ctl_work_number(b, "<tr><td class=nr>", w->nr, "</td>");
        scc_ctl_work_place(b, w);
        scc_buf_text(b, "<td class=why>");
        scc_ctl_work_reasons(b, w->reasons);
        scc_buf_text(b, "</td><td class=\"key small\">");
        scc_ctl_work_lines(b, w->photos);
        scc_buf_text(b, "</td><td class=done>□</td></tr>\n");
    }

    scc_buf_text(b, "</tbody></table>\n");
}


static void
scc_ctl_work_quest(scc_buf_t *b, const scc_ctl_worklist_t *wl, size_t from,
    size_t to)
{
    size_t                 i;
    const scc_ctl_work_t  *w;

    scc_ctl_work_number(b, "<section class=quest><h2>현장 방문 퀘스트 ",
                        wl->list[from].quest, "");
    scc_ctl_work_number(b, " / ", wl->quests, "");
    scc_ctl_work_number(b, " (", to - from, "곳)</h2>\n"
                        "<p class=sign>정복자 <span>&nbsp;</span> 날짜 "
                        "<span>&nbsp;</span></p>\n"
                        "<table><thead><tr><th class=nr>번호</th><th>장소"
                        "</th><th class=why>확인할 것</th><th class=form>"
                        "기록</th></tr></thead><tbody>\n");

    for (i = from; i < to; i++) {
        w = &wl->list[i];

        scc_ctl_work_number(b, "<tr><td class=nr>", w->nr, "</td>");
        scc_ctl_work_place(b, w);
        scc_buf_text(b, "<td class=why>");
        scc_ctl_work_reasons(b, w->reasons);
        scc_buf_text(b, "</td>");
        scc_buf_text(b, scc_ctl_work_form);
        scc_buf_text(b, "</tr>\n");
    }

    scc_buf_text(b, "</tbody></table></section>\n");
}


static void
scc_ctl_work_place(scc_buf_t *b, const scc_ctl_work_t *w)
{
    scc_buf_text(b, "<td><b>");
    scc_buf_html(b, w->name);
    scc_buf_text(b, "</b><br>");
    scc_buf_html(b, w->address);
    scc_buf_text(b, "<br><span class=small>");
    scc_buf_html(b, w->id);

    if (w->located) {
        scc_buf_text(b, " · ");
        scc_buf_e7(b, w->lat);
        scc_buf_text(b, ", ");
        scc_buf_e7(b, w->lon);
    }

    scc_buf_text(b, "</span></td>");
}


static void
scc_ctl_work_cell(scc_buf_t *b, const char *class, scc_str_t s)
{
    scc_buf_text(b, "<td class=");
    scc_buf_text(b, class);
    scc_buf_byte(b, '>');
    scc_buf_html(b, s);
    scc_buf_text(b, "</td>");
}


static void
scc_ctl_work_reasons(scc_buf_t *b, scc_str_t reasons)
{
    size_t     i, k, start;
    bool       known;
    scc_str_t  part;

    for (i = 0, start = 0; i <= reasons.len; i++) {

        if (i < reasons.len && reasons.data[i] != ',') {
            continue;
        }

        part.data = reasons.data + start;
        part.len = i - start;
        known = false;

        scc_buf_text(b, start > 0 ? "<br>" : "");
        start = i + 1;

        for (k = 0; k < sizeof(scc_ctl_work_labels)
                        / sizeof(scc_ctl_work_labels[0]);
             k++)
        {
            if (scc_str_eq(part, scc_ctl_work_labels[k].code)) {
                scc_buf_text(b, scc_ctl_work_labels[k].label);
                known = true;
            }
        }

        if (!known) {
            scc_buf_html(b, part);
        }
    }
}


static void
scc_ctl_work_lines(scc_buf_t *b, scc_str_t text)
{
    size_t     i, start;
    scc_str_t  line;

    for (i = 0, start = 0; i <= text.len; i++) {

        if (i < text.len && text.data[i] != '\n') {
            continue;
        }

        line.data = text.data + start;
        line.len = i - start;

        scc_buf_text(b, start > 0 ? "<br>" : "");
        scc_buf_html(b, line);

        start = i + 1;
    }
}


/* Of Korea, to the minute. */

static void
scc_ctl_work_time(scc_buf_t *b, scc_str_t utc)
{
    int64_t    msec;
    uint8_t    text[32];
    scc_buf_t  t;

    if (scc_time_parse(utc, &msec) != SCC_OK) {
        scc_buf_html(b, utc);
        return;
    }

    scc_buf_fixed(&t, text, sizeof(text));
    scc_time_write(&t, msec + SCC_CTL_WORK_ZONE);

    if (t.used > 16) {
        scc_buf_mem(b, text, 10);
        scc_buf_byte(b, ' ');
        scc_buf_mem(b, text + 11, 5);
    }
}


static void
scc_ctl_work_number(scc_buf_t *b, const char *before, uint64_t n,
    const char *after)
{
    scc_buf_text(b, before);
    scc_buf_uint(b, n);
    scc_buf_text(b, after);
}
