"""Renders what `tmux capture-pane -e` has printed: ansi2png.py FROM.ansi TO.png COLUMNSxROWS"""
import re, sys
from PIL import Image, ImageDraw, ImageFont
W,H=9,18
F=ImageFont.truetype('/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf',14);B=ImageFont.truetype('/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf',14)
pal=['#1e1e1e','#cd3131','#0dbc79','#e5e510','#5b9bd5','#bc3fbc','#11a8cd','#d4d4d4','#808080','#f14c4c','#23d18b','#f5f543','#7ab8ff','#d670d6','#29b8db','#ffffff']
def c256(n):
    if n<16: return pal[n]
    if n<232:
        n-=16; v=[0,95,135,175,215,255]; return (v[n//36],v[n//6%6],v[n%6])
    g=8+(n-232)*10; return (g,g,g)
def render(src,dst,cols=120,rows=40):
    lines=open(src,encoding='utf8').read().split('\n')[:rows]
    im=Image.new('RGB',(cols*W+16,rows*H+16),pal[0]); d=ImageDraw.Draw(im)
    fg,bg,bold,rev,dim,ul=pal[7],None,False,False,False,False
    for y,l in enumerate(lines):
        x=0;i=0
        while i<len(l):
            m=re.match(r'\x1b\[([0-9;]*)m',l[i:])
            if m:
                p=[int(a or 0) for a in m.group(1).split(';')];k=0
                while k<len(p):
                    a=p[k]
                    if a==0: fg,bg,bold,rev,dim,ul=pal[7],None,False,False,False,False
                    elif a==1: bold=True
                    elif a==2: dim=True
                    elif a==4: ul=True
                    elif a==7: rev=True
                    elif a==22: bold=dim=False
                    elif a==24: ul=False
                    elif a==27: rev=False
                    elif 30<=a<38: fg=pal[a-30]
                    elif a==39: fg=pal[7]
                    elif 40<=a<48: bg=pal[a-40]
                    elif a==49: bg=None
                    elif 90<=a<98: fg=pal[a-82]
                    elif 100<=a<108: bg=pal[a-92]
                    elif a in(38,48):
                        col=c256(p[k+2]) if p[k+1]==5 else tuple(p[k+2:k+5]); k+=2 if p[k+1]==5 else 4
                        if a==38: fg=col
                        else: bg=col
                    k+=1
                i+=len(m.group(0)); continue
            if l[i]=='\x1b' or l[i] in '\x0e\x0f':
                i+=1; continue
            f,b=(fg,bg) if not rev else (bg or pal[0],fg)
            if dim and not rev: f='#808080'
            X,Y=8+x*W,8+y*H
            if b: d.rectangle([X,Y,X+W-1,Y+H-1],fill=b)
            eighths='▁▂▃▄▅▆▇█'.find(l[i])+1
            if eighths: d.rectangle([X,Y+H-H*eighths//8,X+W-1,Y+H-1],fill=f)
            else: d.text((X,Y),l[i],fill=f,font=B if bold else F)
            if ul: d.line([X,Y+H-2,X+W-1,Y+H-2],fill=f)
            x+=1;i+=1
    # Few colours: a picture of letters gets small.
    im.quantize(64).save(dst, optimize=True)
source, target, size = sys.argv[1:]
columns, rows = map(int, size.split('x'))
render(source, target, columns, rows)
