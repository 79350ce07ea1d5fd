"""Running strangers' files in a process of their own, whose death is a sentence here.

    with require_extra(…): runtime = Sandbox("sesr_jax.sandbox.litert", content=data, resolver="AUTO")
    y = runtime.call("run", x)

LiteRT and ONNX Runtime are written in C++ and check files for accidents, not for malice: a damaged file can
end the process or overwrite its memory. No check before or trial run shows that it will not, since what
happens may depend on the image and on what lies in memory. So such a file never runs in this process. Its own
process has no more memory than the machine has, and ends with this one. Files that this process has made need
none, as nobody else chose their bytes.
"""

from sesr_jax.sandbox.client import Sandbox, SandboxError

__all__ = ["Sandbox", "SandboxError"]
