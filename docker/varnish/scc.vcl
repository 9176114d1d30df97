#
# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
#
# Varnish 7 with varnish-modules (xkey) as the edge in front of scc_api.
# site.vcl, beside this file, says where the origin is and who may purge.
#
# - What CDN-Cache-Control says goes before Cache-Control: an answer stays
#   here for long, and is made stale by soft purges of "scc_purge".
# - A stale answer is fetched again before it is given out, except within a
#   second; when the origin fails it is given out as it is, as long as
#   stale-if-error allows.
# - One object per address, however its query string is written.
# - Positions of people and what they write pass through.
#

vcl 4.1;

import std;
import xkey;

include "site.vcl";


sub vcl_recv {
    unset req.http.X-SCC-Stale;

    if (req.url ~ "^/scc-purge(\?|$)") {
        call scc_purge;
    }

    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }

    # a position is in no key; contributions are for their contributors
    if (req.url ~ "/(nearby|contributions)(/|\?|$)"
        || req.http.Authorization)
    {
        return (pass);
    }

    unset req.http.Cookie;

    call scc_canonical;

    if (req.restarts > 0) {
        # the origin has failed: what is here is better than nothing
        set req.http.X-SCC-Stale = "1";
        set req.grace = 52w;

    } else if (std.healthy(req.backend_hint)) {
        set req.grace = 1s;
    }

    return (hash);
}


# POST /scc-purge, Surrogate-Key: keys[, Fastly-Soft-Purge: 1]

sub scc_purge {
    if (client.ip !~ scc_purgers) {
        return (synth(403, "this address may not purge; see site.vcl"));
    }

    if (req.method != "POST") {
        return (synth(405, "POST, with the keys in Surrogate-Key"));
    }

    if (!req.http.Surrogate-Key) {
        return (synth(400, "Surrogate-Key is missing"));
    }

    if (req.http.Fastly-Soft-Purge == "1") {
        set req.http.X-SCC-Purged = xkey.softpurge(req.http.Surrogate-Key);
    } else {
        set req.http.X-SCC-Purged = xkey.purge(req.http.Surrogate-Key);
    }

    return (synth(200, "purged"));
}


# The same question is the same address.

sub scc_canonical {
    set req.http.Host = std.tolower(regsub(req.http.Host, ":(80|443)$", ""));

    # what links from elsewhere add to it
    set req.url = regsuball(req.url,
                            "(?<=[?&])(utm_[a-z]+|fbclid|gclid)=[^&]*(&|$)",
                            "");
    set req.url = regsub(req.url, "[?&]+$", "");

    if (req.url ~ "\?") {
        set req.url = std.querysort(req.url);
        set req.url = regsuball(req.url, "%2[Cc]", ",");

        # numbers: +1 -> 1, 1.50 -> 1.5, 1.0 -> 1
        if (req.url ~ "[?&]bbox=[-+0-9.,]*(&|$)") {
            set req.url = regsuball(req.url, "(?<=[=,])\+(?=[0-9])", "");
            set req.url = regsuball(req.url,
                                    "(?<=[=,-])0+(?=[0-9]+[.,&]|[0-9]+$)", "");
            set req.url = regsuball(req.url,
                                    "(\.[0-9]*[1-9])0+(?=[,&]|$)", "\1");
            set req.url = regsuball(req.url, "\.0*(?=[,&]|$)", "");
        }
    }
}


sub vcl_backend_response {
    unset beresp.http.Age;
    unset beresp.http.Set-Cookie;

    if (bereq.uncacheable) {
        return (deliver);
    }

    if (beresp.status >= 500) {
        # the old answer stays; without one, the second time says what is
        if (bereq.is_bgfetch || !bereq.http.X-SCC-Stale) {
            return (abandon);
        }
        set beresp.ttl = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }

    set beresp.http.X-SCC-Control = beresp.http.CDN-Cache-Control;

    if (!beresp.http.X-SCC-Control) {
        set beresp.http.X-SCC-Control = beresp.http.Surrogate-Control;
    }

    if (!beresp.http.X-SCC-Control) {
        set beresp.http.X-SCC-Control = beresp.http.Cache-Control;
    }

    if (beresp.http.X-SCC-Control ~ "(?i)(^|[ ,])(no-store|private)") {
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }

    if (beresp.http.X-SCC-Control ~ "(?i)(^|[ ,])max-age=[0-9]") {
        set beresp.ttl = std.duration(
            regsub(beresp.http.X-SCC-Control,
                   "(?i)^(?:.*[ ,])?max-age=([0-9]+).*$", "\1s"), 0s);
    } else {
        set beresp.ttl = 0s;
    }

    set beresp.grace = 0s;

    if (beresp.http.X-SCC-Control ~ "(?i)(^|[ ,])stale-if-error=[0-9]") {
        set beresp.grace = std.duration(
            regsub(beresp.http.X-SCC-Control,
                   "(?i)^(?:.*[ ,])?stale-if-error=([0-9]+).*$", "\1s"), 0s);
    }

    # an old body is good enough to be told that it is still right
    set beresp.keep = 1d;

    unset beresp.http.X-SCC-Control;

    set beresp.http.xkey = beresp.http.Surrogate-Key;

    return (deliver);
}


sub vcl_backend_error {
    if (bereq.uncacheable) {
        set beresp.status = 503;
        set beresp.http.Content-Type = "application/problem+json";
        set beresp.http.Cache-Control = "no-store";
        set beresp.http.Retry-After = "2";
        set beresp.http.Access-Control-Allow-Origin = "*";
        synthetic("""{"type":"about:blank","status":503,"detail":"""
                  + {"""} + "the origin does not answer; try again after "
                  + "Retry-After seconds" + {"""} + "}");
        return (deliver);
    }

    return (abandon);
}


sub vcl_synth {
    if (resp.status == 503 && req.restarts == 0
        && (req.method == "GET" || req.method == "HEAD"))
    {
        return (restart);
    }

    set resp.http.Cache-Control = "no-store";
    set resp.http.Access-Control-Allow-Origin = "*";

    if (resp.status == 200) {
        set resp.http.Content-Type = "application/json";
        synthetic("""{"purged":""" + req.http.X-SCC-Purged + "}");
        return (deliver);
    }

    set resp.http.Content-Type = "application/problem+json";

    if (resp.status == 503) {
        set resp.http.Retry-After = "2";
        set resp.reason = "the origin does not answer; try again after "
                          + "Retry-After seconds";
    }

    synthetic("""{"type":"about:blank","status":""" + resp.status
              + {","detail":"} + {"""} + resp.reason + {"""} + "}");
    return (deliver);
}


sub vcl_deliver {
    # a browser would count the time here against its own, shorter, max-age
    unset resp.http.Age;

    unset resp.http.xkey;
    unset resp.http.X-Varnish;
    unset resp.http.Via;

    if (obj.hits > 0) {
        set resp.http.X-SCC-Edge = "edge; hit";
        if (obj.ttl <= 0s) {
            set resp.http.X-SCC-Edge = "edge; hit; ttl=-1";
        }
    } else {
        set resp.http.X-SCC-Edge = "edge; fwd=miss";
    }

    if (resp.http.Cache-Status) {
        set resp.http.Cache-Status = resp.http.Cache-Status + ", "
                                     + resp.http.X-SCC-Edge;
    } else {
        set resp.http.Cache-Status = resp.http.X-SCC-Edge;
    }

    unset resp.http.X-SCC-Edge;
}
