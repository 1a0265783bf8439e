// Draws Gaussian splats with WebGL2: each an ellipse-sized quad (EWA splatting), blended back to front.

import { SPLAT_FLOATS } from "./splats.js";

const TEXTURE_WIDTH = 2048;

const VERTEX_SHADER = `#version 300 es
precision highp float;
precision highp int;

uniform highp sampler2D uSplats;     // 4 texels per splat, see SPLAT_FLOATS
uniform highp sampler2D uFaces;      // 3 texels per triangle, see FACE_FLOATS
uniform highp sampler2D uHarmonics;  // 1 texel per splat and coefficient
uniform highp usampler2D uOrder;     // the splats to draw, farthest first
uniform bool uRigged;
uniform int uDegree;
uniform vec2 uHarmonicRange;         // lowest value, extent
uniform mat3 uRotation;              // world to camera, OpenCV axes
uniform vec3 uTranslation, uEye;
uniform vec2 uSize, uFocal, uCenter; // pixels

flat out vec4 vColor;
out vec2 vOffset;

const float EPS2D = 0.3;             // pixels^2 every splat is blurred by, as in training
const float NEAR = 0.01;

vec4 texelAt(highp sampler2D source, int texel) {
  return texelFetch(source, ivec2(texel % ${TEXTURE_WIDTH}, texel / ${TEXTURE_WIDTH}), 0);
}

vec3 harmonic(int base, int k) {
  return texelAt(uHarmonics, base + k).rgb * uHarmonicRange.y + uHarmonicRange.x;
}

// Bands 1 to 3 of the real spherical harmonics, signs as in 3D Gaussian splatting files.
vec3 harmonics(int splat, vec3 d) {
  int base = splat * (uDegree * (uDegree + 2));
  float x = d.x, y = d.y, z = d.z, xx = x * x, yy = y * y, zz = z * z;
  vec3 sum = 0.4886025119 * (-y * harmonic(base, 0) + z * harmonic(base, 1) - x * harmonic(base, 2));
  if (uDegree > 1) {
    sum += 1.0925484306 * (x * y * harmonic(base, 3) - y * z * harmonic(base, 4) - x * z * harmonic(base, 6))
      + 0.3153915653 * (2.0 * zz - xx - yy) * harmonic(base, 5)
      + 0.5462742153 * (xx - yy) * harmonic(base, 7);
  }
  if (uDegree > 2) {
    sum += -0.5900435899 * (y * (3.0 * xx - yy) * harmonic(base, 8) + x * (xx - 3.0 * yy) * harmonic(base, 14))
      + 2.8906114426 * x * y * z * harmonic(base, 9)
      - 0.4570457995 * (4.0 * zz - xx - yy) * (y * harmonic(base, 10) + x * harmonic(base, 12))
      + 0.3731763326 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * harmonic(base, 11)
      + 1.4453057213 * z * (xx - yy) * harmonic(base, 13);
  }
  return sum;
}

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0); // outside: what is not drawn
  int place = gl_VertexID >> 2;
  int splat = int(texelFetch(uOrder, ivec2(place % ${TEXTURE_WIDTH}, place / ${TEXTURE_WIDTH}), 0).r);
  vec4 row0 = texelAt(uSplats, 4 * splat), row1 = texelAt(uSplats, 4 * splat + 1);
  vec4 row2 = texelAt(uSplats, 4 * splat + 2), row3 = texelAt(uSplats, 4 * splat + 3);
  vec3 mean = row0.xyz;
  mat3 toCamera = uRotation;
  if (uRigged) {
    int face = 3 * int(row2.z);
    vec4 a = texelAt(uFaces, face), b = texelAt(uFaces, face + 1), c = texelAt(uFaces, face + 2);
    mean = vec3(dot(a, vec4(mean, 1.0)), dot(b, vec4(mean, 1.0)), dot(c, vec4(mean, 1.0)));
    toCamera = uRotation * transpose(mat3(a.xyz, b.xyz, c.xyz));
  }
  vec3 p = uRotation * mean + uTranslation;
  if (p.z <= NEAR) return;

  // Covariance in the image: J W S W^T J^T, J the projection's derivative at p held within 1.3 image widths.
  mat3 cov = mat3(row1.x, row1.y, row1.z, row1.y, row1.w, row2.x, row1.z, row2.x, row2.y);
  vec2 margin = 0.15 * uSize / uFocal;
  vec2 slope = clamp(p.xy / p.z, -uCenter / uFocal - margin, (uSize - uCenter) / uFocal + margin);
  vec3 jx = vec3(uFocal.x / p.z, 0.0, -uFocal.x * slope.x / p.z) * toCamera;
  vec3 jy = vec3(0.0, uFocal.y / p.z, -uFocal.y * slope.y / p.z) * toCamera;
  vec3 cx = cov * jx;
  float xx = dot(jx, cx) + EPS2D, xy = dot(jy, cx), yy = dot(jy, cov * jy) + EPS2D;

  // Half axes of the ellipse on which the opacity falls to 1/255, at most 3.33 standard deviations out.
  float opacity = row0.w;
  if (opacity < 1.0 / 255.0) return;
  float reach = min(3.33, sqrt(2.0 * log(255.0 * opacity)));
  float middle = 0.5 * (xx + yy), spread = length(vec2(0.5 * (xx - yy), xy));
  vec2 axis = abs(xy) > 1e-9 * middle ? normalize(vec2(xy, middle + spread - xx)) : xx >= yy ? vec2(1, 0) : vec2(0, 1);
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1 & 1) * 2.0 - 1.0;
  vOffset = corner * reach;
  vec2 offset = vOffset.x * sqrt(middle + spread) * axis
    + vOffset.y * sqrt(max(middle - spread, 1e-6)) * vec2(-axis.y, axis.x);
  vec2 pixel = uFocal * p.xy / p.z + uCenter + offset;

  vec3 color = row3.rgb;
  if (uDegree > 0) color += harmonics(splat, normalize(mean - uEye));
  vColor = vec4(max(color, 0.0), opacity);
  gl_Position = vec4(2.0 * pixel.x / uSize.x - 1.0, 1.0 - 2.0 * pixel.y / uSize.y, 0.0, 1.0);
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
flat in vec4 vColor;
in vec2 vOffset;
out vec4 fragColor;
void main() {
  float alpha = min(0.999, vColor.a * exp(-0.5 * dot(vOffset, vOffset)));
  if (alpha < 1.0 / 255.0) discard;
  fragColor = vec4(vColor.rgb * alpha, alpha);
}`;

export class Renderer {
  constructor(canvas) {
    this.gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: true, antialias: false, depth: false });
    if (!this.gl) throw new Error("This browser offers no WebGL2, which drawing the splats needs.");
    this.canvas = canvas;
    this.count = 0;
    this.degree = 0;
    this.range = [0, 0];
    this.rigged = false;
    this.heights = [];
    this.build();
  }

  build() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.at = {};
    const uniforms = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS);
    for (let i = 0; i < uniforms; i++) {
      const { name } = gl.getActiveUniform(program, i);
      this.at[name] = gl.getUniformLocation(program, name);
    }
    gl.uniform1i(this.at.uSplats, 0);
    gl.uniform1i(this.at.uFaces, 1);
    gl.uniform1i(this.at.uHarmonics, 2);
    gl.uniform1i(this.at.uOrder, 3);
    for (let slot = 0; slot < 4; slot++) this.makeTexture(slot);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.clearColor(0, 0, 0, 0);
  }

  makeTexture(slot) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + slot);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    const nothing = slot === 3 ? [gl.R32UI, 1, 1, 0, gl.RED_INTEGER, gl.UNSIGNED_INT, new Uint32Array(1)]
      : [gl.RGBA8, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)];
    gl.texImage2D(gl.TEXTURE_2D, 0, ...nothing);
  }

  /** Fills a texture with rows of TEXTURE_WIDTH texels, padding the last: four floats or bytes each, or one integer. */
  upload(slot, values) {
    const { gl } = this;
    if (gl.isContextLost()) return; // it has no limits then, and nothing to draw on
    const [perTexel, internal, format, type] = {
      Float32Array: [4, gl.RGBA32F, gl.RGBA, gl.FLOAT],
      Uint8Array: [4, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE],
      Uint32Array: [1, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT],
    }[values.constructor.name];
    const perRow = TEXTURE_WIDTH * perTexel;
    const height = Math.max(1, Math.ceil(values.length / perRow));
    if (height > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("This GPU cannot hold so many splats.");
    const padded = values.length === perRow * height ? values : new values.constructor(perRow * height);
    if (padded !== values) padded.set(values);
    gl.activeTexture(gl.TEXTURE0 + slot);
    if (this.heights[slot] === height) {
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, TEXTURE_WIDTH, height, format, type, padded);
    } else gl.texImage2D(gl.TEXTURE_2D, 0, internal, TEXTURE_WIDTH, height, 0, format, type, padded);
    this.heights[slot] = height;
  }

  /** Texture rows of the splats; also the corners of a quad for each. */
  setSplats(rows) {
    const { gl } = this;
    this.upload(0, rows);
    const count = rows.length / SPLAT_FLOATS;
    const corners = new Uint32Array(6 * count);
    for (let i = 0, o = 0; i < count; i++, o += 6) {
      corners[o] = 4 * i;
      corners[o + 1] = corners[o + 3] = 4 * i + 1;
      corners[o + 2] = corners[o + 4] = 4 * i + 2;
      corners[o + 5] = 4 * i + 3;
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
  }

  setFaces(rows) {
    this.rigged = true;
    this.upload(1, rows);
  }

  /** Coefficients as bytes [count, (degree + 1)^2 - 1, 3] over the range lo to hi. */
  setHarmonics(degree, bytes, lo, hi) {
    this.degree = degree;
    this.range = [lo, hi - lo];
    const texels = new Uint8Array((bytes.length / 3) * 4);
    for (let i = 0, o = 0; i < bytes.length; i += 3, o += 4) texels.set(bytes.subarray(i, i + 3), o);
    this.upload(2, texels);
  }

  setOrder(order) {
    this.count = order.length;
    this.upload(3, order);
  }

  draw(camera) {
    const { gl, at, canvas } = this;
    const { rows, translation, eye, focal, center } = camera.matrices(canvas.width, canvas.height);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniformMatrix3fv(at.uRotation, true, rows.flat());
    gl.uniform3fv(at.uTranslation, translation);
    gl.uniform3fv(at.uEye, eye);
    gl.uniform2f(at.uSize, canvas.width, canvas.height);
    gl.uniform2fv(at.uFocal, focal);
    gl.uniform2fv(at.uCenter, center);
    gl.uniform1i(at.uRigged, this.rigged ? 1 : 0);
    gl.uniform1i(at.uDegree, this.degree);
    gl.uniform2fv(at.uHarmonicRange, this.range);
    gl.drawElements(gl.TRIANGLES, 6 * this.count, gl.UNSIGNED_INT, 0);
  }
}
