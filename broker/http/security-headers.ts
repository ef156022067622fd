import helmet from 'helmet';

/**
 * The headers of every answer: nothing is loaded but our own stylesheet, nothing frames us, nothing is stored, and no
 * address of ours (a consent link is a secret in a path) leaves in a Referer (RFC 9700 §4.2.4).
 *
 * @param formTargets origins besides our own that a form of ours may lead to. Chromium applies `form-action` to the
 *   redirect that answers a form, too: the owner's way to Google is one.
 */
export function securityHeaders(options: {
  formTargets: readonly string[];
  https: boolean;
}): ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        formAction: ["'self'", ...options.formTargets],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: options.https ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    xFrameOptions: { action: 'deny' },
  });
}
